"""Workers as processes of their own, and waiting for what they do."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench.broker.noop import RECORD
from bench.broker.producers import OTHERS

PATIENCE_SECONDS = 300

#: As long as hardbyte's harness gives its systems between SIGTERM and SIGKILL.
STOP_SECONDS = 10


def until(condition: Callable[[], object]) -> None:
    """Wait for something to come true."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.02)


def records(path: Path) -> list[tuple[int, int]]:
    """Number and nanoseconds of everything that processes have appended to a file."""
    data = path.read_bytes() if path.exists() else b""
    return list(RECORD.iter_unpack(data[: len(data) // RECORD.size * RECORD.size]))


class Worker:
    """A real worker of the measured system, two tasks at a time."""

    def __init__(self, url: str, home: Path, *, pool: str = "prefork", events: bool = False) -> None:
        self._starts = home / "starts"
        self._log = home / "worker.log"
        environment = os.environ | {"BENCH_BROKER": url, "BENCH_STARTS": str(self._starts)}
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command(url, pool, events=events), env=environment, stdout=log, stderr=log, start_new_session=True
            )

    def _command(self, url: str, pool: str, *, events: bool) -> list[str]:
        python = [sys.executable, "-W", "ignore", "-m"]
        kind, _, rest = url.partition(":")
        if kind in OTHERS:
            return [*python, f"bench.broker.on_{kind}", rest, str(self._starts)]
        worker = ["celery", "-A", "bench.broker.noop", "worker", "--pool", pool, "--concurrency", "2"]
        return [*python, *worker, "--queues", "bench", "--loglevel", "error", *["--task-events"] * events]

    def starts(self) -> list[tuple[int, int]]:
        """Number and nanoseconds of every task that has begun."""
        return records(self._starts)

    def await_ready(self) -> None:
        """Until it says so; only Celery's do."""
        until(self._starts.with_name("ready").exists)

    def await_starts(self, count: int) -> list[tuple[int, int]]:
        """Until so many tasks have begun."""
        size = count * RECORD.size
        until(lambda: self.process.poll() is not None or self._size() >= size)
        if self._size() < size:
            raise RuntimeError(self._log.read_text())
        return self.starts()

    def _size(self) -> int:
        return self._starts.stat().st_size if self._starts.exists() else 0

    def stop(self) -> bool:
        """End it: politely, then not; answers whether it was enough to be polite."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            return False
        return True

    def kill(self) -> None:
        """Kill it with its children."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
