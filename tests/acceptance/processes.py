"""Real processes in the places where pytest-celery expects containers."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
from pytest_celery import CeleryTestContainer

ROOT = Path(__file__).resolve().parents[2]

PATIENCE_SECONDS = 30

#: What makes a worker start soonest.
QUIET = ("--without-gossip", "--without-mingle", "--without-heartbeat")


class LocalProcess(CeleryTestContainer):  # type: ignore[misc]
    """A process group of our own, with the interface of a container. There is no Docker in it: `super().__init__` is
    not called.
    """

    def __init__(
        self, name: str, argv: Sequence[str], *, environment: Mapping[str, str], log: Path, needle: str
    ) -> None:
        self._name = name
        self._argv = [sys.executable, "-m", *argv]
        self.environment = os.environ | environment
        self._log = log
        self._needle = needle
        self._process: subprocess.Popen[bytes] | None = None
        self._start()

    def _start(self) -> None:
        self._log.write_bytes(b"")
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._argv, cwd=ROOT, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )

    @property
    def name(self) -> str:
        """What the tests call it."""
        return self._name

    @property
    def id(self) -> str:
        """Docker's containers have ids; these have names."""
        return self._name

    @property
    def process(self) -> psutil.Process:
        """The group's leader."""
        assert self._process is not None
        return psutil.Process(self._process.pid)

    @property
    def children(self) -> list[psutil.Process]:
        """The leader's children: a worker's pool."""
        return list(self.process.children())

    @property
    def status(self) -> str:
        """As Docker says it."""
        return "running" if self._process is not None and self._process.poll() is None else "exited"

    @property
    def celeryconfig(self) -> dict[str, Any]:
        """Workers read their own settings."""
        return {}

    def logs(self) -> str:
        """Everything written since the start."""
        return self._log.read_text()

    def ready(self) -> bool:
        """Wait until the process says that it is ready."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._needle not in self.logs():
            assert self.status == "running", self.logs()
            assert time.monotonic() < deadline, self.logs()
            time.sleep(0.05)
        return True

    def kill(self, signal: str | int = "SIGKILL") -> None:
        """Signal the whole group, as Docker does to a container."""
        _signal_group(self._process, signal)

    def restart(self, timeout: float = 0) -> None:
        """Start it again."""
        self.teardown()
        self._start()

    def reload(self, attrs: object = None) -> None:
        """There is nothing to read anew."""

    def teardown(self) -> None:
        """End it: politely, then not."""
        if self._process is None:
            return
        _signal_group(self._process, signal.SIGTERM)
        try:
            self._process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            _signal_group(self._process, signal.SIGKILL)
            self._process.wait()


def _signal_group(process: subprocess.Popen[bytes] | None, number: str | int) -> None:
    if process is not None and process.poll() is None:
        os.killpg(process.pid, getattr(signal, number) if isinstance(number, str) else number)


def worker(
    queue: str,
    *,
    concurrency: int,
    environment: Mapping[str, str],
    log: Path,
    name: str = "",
    options: Sequence[str] = QUIET,
) -> LocalProcess:
    """A real `celery worker` of one queue."""
    argv = ["celery", "-A", "worker", "worker", "--pool", "prefork", "--concurrency", str(concurrency)]
    argv += ["--queues", queue, "--hostname", f"{name or queue}@%h"]
    return LocalProcess(name or queue, [*argv, *options], environment=environment, log=log, needle="ready.")
