"""Workers' work without workers: claims through kombu and our transport, then calls what the tasks call."""

import json
import threading
from types import TracebackType
from typing import Any, Self
from uuid import UUID

from kombu import Connection

from app.broker import Delivery, Keeper, register_transport
from app.executions import running
from app.executions.queries import BEGIN, Claimed
from app.functions import compiling, preparing, verifying
from app.functions.modules import Modules
from app.platform import Platform
from app.queue import Queue, Task


class Workbench:
    """One worker of both queues, in the test's process."""

    COMPILE, EXECUTE = Queue.COMPILE, Queue.EXECUTE

    def __init__(self, platform: Platform) -> None:
        register_transport()
        self._platform = platform
        self._modules = Modules(platform)
        self._keeper = Keeper(platform.settings.database_url, lease_seconds=platform.settings.lease_seconds)
        options = {"on_claim": {"execute": BEGIN}, "lease_seconds": platform.settings.lease_seconds}
        self._connection = Connection(platform.settings.database_url, transport_options=options)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def prepare(self) -> None:
        """Prepare the languages, as a compile worker does when it has started."""
        assert not preparing.prepare(self._platform, "workbench")

    def claim(self, queue: Queue) -> dict[str, Any] | None:
        """Lease one message as a worker would."""
        messages: list[dict[str, Any]] = self._connection.default_channel.claim(queue, 1)
        return messages[0] if messages else None

    def has_ready(self, queue: Queue) -> bool:
        """Whether something waits in a queue."""
        return bool(self._connection.default_channel._size(queue))

    def work(self, message: dict[str, Any]) -> None:
        """Do what a claimed message asks for."""
        delivery = Delivery.of(message["properties"])
        ids = json.loads(message["body"])[1]
        if message["headers"]["task"] == Task.COMPILE:
            compiling.compile_version(self._platform, delivery, UUID(ids["function_id"]), ids["number"])
        elif message["headers"]["task"] == Task.VERIFY:
            wanted = UUID(ids["function_id"]), ids["number"], UUID(ids["verification_id"])
            verifying.verify_version(self._platform, delivery, *wanted)
        else:
            claimed = Claimed(UUID(ids["execution_id"]), delivery)
            running.execute(self._platform, self._modules, self._keeper, claimed)

    def drain(self) -> int:
        """Work until both queues are empty; answers how many messages that took."""
        done = 0
        while message := self.claim(Queue.COMPILE) or self.claim(Queue.EXECUTE):
            self.work(message)
            done += 1
        return done

    def start(self) -> Self:
        """Go on working in a thread until the end of the test, so that a request may wait for its execution."""
        self._thread = threading.Thread(target=self._go_on, daemon=True)
        self._thread.start()
        return self

    def _go_on(self) -> None:
        while not self._stop.is_set():
            if not self.drain():
                self._stop.wait(0.01)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self._connection.release()
