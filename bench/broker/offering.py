"""Tasks that are offered at a rate from a process of their own, whatever becomes of those before them."""

import multiprocessing
import time
from itertools import count
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

from kombu.exceptions import OperationalError

from bench.broker.noop import RECORD, application
from bench.broker.processes import records

#: A producer that was held up makes good for so long, and lets go of what it should have sent before.
BEHIND_SECONDS = 0.1


class Offering:
    """Begins at once, at `rate` tasks per second, which may be changed, and ends with the block."""

    def __init__(self, url: str, path: Path, *, rate: float, task_seconds: float) -> None:
        context = multiprocessing.get_context("spawn")
        self._path = path
        self._rate = context.Value("d", rate)
        self._process = context.Process(target=_offer, args=(url, path, self._rate, task_seconds), daemon=True)

    @property
    def rate(self) -> float:
        """Tasks per second."""
        return float(self._rate.value)

    @rate.setter
    def rate(self, rate: float) -> None:
        self._rate.value = rate

    def confirmed(self) -> dict[int, int]:
        """The number of every task whose sending came back without an error, and when it did."""
        return dict(records(self._path))

    def stop(self) -> None:
        """Offer nothing any more; ending twice is harmless."""
        self._process.terminate()
        self._process.join()

    def __enter__(self) -> "Offering":
        self._process.start()
        return self

    def __exit__(self, *_raised: object) -> None:
        self.stop()


def _offer(url: str, path: Path, rate: "Synchronized[float]", task_seconds: float) -> None:
    celery, due = application(url), time.monotonic()
    with path.open("ab", buffering=0) as confirmed:
        for number in count():
            due = max(due + 1 / rate.value, time.monotonic() - BEHIND_SECONDS)
            time.sleep(max(0.0, due - time.monotonic()))
            try:
                celery.send_task("bench.work", (number, task_seconds), ignore_result=True)
            except OperationalError:
                continue  # What was not confirmed may be lost: an application would be told, and ask again.
            confirmed.write(RECORD.pack(number, time.monotonic_ns()))
