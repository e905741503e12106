"""Waiting for executions to end: one listening connection per process, woken by name, with a second look every second
beneath.
"""

import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any
from uuid import UUID

import orjson
import psycopg
import structlog
from sqlalchemy.exc import SQLAlchemyError

from app.database import Database
from app.executions import history_queries, queries

log = structlog.get_logger()

#: How often whoever waits is looked up although nothing was heard: what a lost notification costs at most.
SECOND_LOOK_SECONDS = 1.0

_RETRY_SECONDS = 0.5


class Waiting:
    """One request that waits for one execution."""

    def __init__(self) -> None:
        self._gate = threading.Lock()
        self._gate.acquire()
        self.result: Mapping[str, Any] | None = None

    def resolve(self, result: Mapping[str, Any] | None) -> None:
        """Let the request go on, with the result where it came along."""
        if self._gate.locked():
            self.result = result
            self._gate.release()

    def wait(self, seconds: float) -> bool:
        """Whether the execution ended in time."""
        return self._gate.acquire(timeout=max(seconds, 0))


class Waiters:
    """Everybody in this process who waits. Started when first used, so that a fork before that does no harm."""

    def __init__(self, database: Database, *, most: int) -> None:
        self._database = database
        self._waiting: dict[UUID, list[Waiting]] = {}
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(most)
        self._listening: threading.Event | None = None
        self._thread: threading.Thread | None = None
        self._closed = False
        self.channel = f"kiln_waiter_{secrets.token_hex(8)}"
        """The channel that an execution names so that its end is told to this process."""

    def close(self) -> None:
        """End the listening thread; nobody may wait any more."""
        self._closed = True
        if self._thread is not None:
            with suppress(SQLAlchemyError), self._database.statement() as connection:
                queries.notify(connection, self.channel)
            self._thread.join(timeout=2 * SECOND_LOOK_SECONDS)

    def let_go(self) -> None:
        """Let everybody who waits go on without a result, and nobody wait any more."""
        self._closed = True
        with self._lock:
            waiting = [one for places in self._waiting.values() for one in places]
        for one in waiting:
            one.resolve(None)

    @contextmanager
    def expect(self, execution_id: UUID) -> Iterator[Waiting | None]:
        """A place to wait for an execution, taken before it is submitted so that its end cannot be missed; none when
        all places are taken.
        """
        if self._closed or not self._places.acquire(blocking=False):
            yield None
            return
        waiting = Waiting()
        try:
            self._ensure_listening()
            with self._lock:
                self._waiting.setdefault(execution_id, []).append(waiting)
            yield waiting
        finally:
            self._forget(execution_id, waiting)
            self._places.release()

    def _forget(self, execution_id: UUID, waiting: Waiting) -> None:
        with self._lock:
            others = [other for other in self._waiting.pop(execution_id, []) if other is not waiting]
            if others:
                self._waiting[execution_id] = others

    def _ensure_listening(self) -> None:
        with self._lock:
            started = self._listening is None
            if started:
                self._listening = threading.Event()
                self._thread = threading.Thread(target=self._listen, name="execution-waiter", daemon=True)
                self._thread.start()
            listening = self._listening
        if listening is not None:
            listening.wait(timeout=SECOND_LOOK_SECONDS)

    def _listen(self) -> None:
        while not self._closed:
            try:
                with psycopg.connect(
                    self._database.url, autocommit=True, application_name="kiln waiter", connect_timeout=5
                ) as connection:
                    connection.execute(f'LISTEN "{self.channel}"')
                    if self._listening is not None:
                        self._listening.set()
                    self._hear(connection)
            except (psycopg.Error, SQLAlchemyError) as error:
                # Whoever waits goes on waiting; the first look over the next connection finds what ended meanwhile.
                log.warning("waiters.connection_lost", error=str(error).splitlines()[0])
                time.sleep(_RETRY_SECONDS)

    def _hear(self, connection: "psycopg.Connection[Any]") -> None:
        look_at = time.monotonic()
        while not self._closed:
            for notification in connection.notifies(timeout=max(look_at - time.monotonic(), 0)):
                if notification.payload:
                    result = orjson.loads(notification.payload)
                    self._resolve(UUID(result["id"]), result)
                if self._closed or time.monotonic() >= look_at:
                    break
            look_at = time.monotonic() + SECOND_LOOK_SECONDS
            self._look_again()

    def _look_again(self) -> None:
        with self._lock:
            waiting = list(self._waiting)
        if waiting:
            with self._database.statement() as connection:
                ended = history_queries.ended(connection, waiting)
            for execution_id in ended:
                self._resolve(execution_id, None)

    def _resolve(self, execution_id: UUID, result: Mapping[str, Any] | None) -> None:
        with self._lock:
            waiting = self._waiting.get(execution_id, [])
        for one in waiting:
            one.resolve(result if result and "status" in result else None)
