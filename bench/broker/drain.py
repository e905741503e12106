"""How fast tasks are sent and worked off, and how soon one begins that is sent to an idle worker."""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.broker.processes import Worker, until
from bench.broker.producers import Producer, producer


@dataclass(frozen=True)
class Result:
    """Of one round: tasks sent and begun per second, milliseconds from sending to the first line of the task."""

    enqueued: float
    drained: float
    p50: float
    p99: float


def measure(url: str, *, tasks: int, paced: int, pool: str = "prefork", events: bool = False) -> Result:
    """One round: `tasks` sent one by one with no worker there, worked off by one that starts then, and `paced` more at
    fifty a second when it is idle. With `events`, all of them are sent and a receiver in another process reads them.
    """
    with tempfile.TemporaryDirectory(prefix="kiln-bench-") as name, producer(url) as sending:
        home = Path(name)
        enqueued = _enqueue(sending, tasks)
        with receiving(url, home, events=events):
            worker = Worker(url, home, pool=pool, events=events)
            try:
                drained = _slope(worker.await_starts(tasks))
                time.sleep(2)
                latencies = _paced(sending, worker, tasks, paced)
            finally:
                worker.stop()
    return Result(enqueued, drained, statistics.median(latencies), percentile(latencies, 0.99))


def percentile(values: list[float], share: float) -> float:
    """The value that this share of the values does not exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def _enqueue(sending: Producer, count: int) -> float:
    sending.send(-1)  # Connects and declares.
    began = time.monotonic()
    for number in range(count - 1):
        sending.send(number)
    return (count - 1) / (time.monotonic() - began)


def _slope(starts: list[tuple[int, int]]) -> float:
    moments = sorted(moment for _, moment in starts)
    first, last = len(moments) // 20, len(moments) * 19 // 20
    return (last - first) / ((moments[last] - moments[first]) / 1e9)


def _paced(sending: Producer, worker: Worker, sent: int, count: int) -> list[float]:
    numbers = range(1_000_000, 1_000_000 + count)
    sent_at = {}
    for number in numbers:
        sent_at[number] = time.monotonic_ns()
        sending.send(number)
        time.sleep(max(0.0, 0.02 - (time.monotonic_ns() - sent_at[number]) / 1e9))
    begun = dict(worker.await_starts(sent + count))
    return [(begun[number] - sent_at[number]) / 1e6 for number in numbers]


@contextmanager
def receiving(url: str, home: Path, *, events: bool) -> Iterator[None]:
    """Somebody in another process reads all events meanwhile, as Flower would."""
    if not events:
        yield
        return
    path = home / "receiving"
    receiver = subprocess.Popen([sys.executable, "-W", "ignore", "-m", "bench.broker.receiver", url, str(path)])
    try:
        until(path.exists)
        yield
        time.sleep(1)
        if path.read_text() == "0":
            raise RuntimeError("nobody heard of any event")
    finally:
        receiver.kill()
        receiver.wait()
