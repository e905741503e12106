"""Lanes: how those who publish to one queue share its consumers.

Messages of one priority are claimed in the order of their ranks, which they are given when they are written, by
start-time fair queueing (Goyal, Vin, Cheng 1996). A message comes after the last one of its lane that waits, and never
before the head of the queue. So the lanes take turns, whoever has published ten thousand messages and whoever has
published one; a lane that is alone is first in, first out; and neither a claim nor its end does anything for it. In a
queue in which nothing waits, ranks are beyond all that were given, and so are those of messages without a lane.
"""

import time
from dataclasses import dataclass
from typing import Final

#: For so long a bound is good.
KNOWN_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a message belongs among those that wait."""

    priority: int
    lane: str | None = None


class Bounds:
    """For queues and priorities, a rank before which nothing is ready of what a process looks for, so that it does not
    step over everything that was claimed since the oldest snapshot that is open. What is given back may be before it,
    and is found when the process looks from the beginning again. Any thread may use it.
    """

    def __init__(self) -> None:
        self._found: dict[tuple[str, int], tuple[int, float]] = {}

    def at(self, queue: str, priority: int) -> int:
        """From which rank on to look."""
        rank, good_until = self._found.get((queue, priority), (0, 0.0))
        return rank if time.monotonic() < good_until else 0

    def seen(self, queue: str, priority: int, rank: int | None) -> None:
        """A statement that looked from there on has found nothing before this rank, or says nothing."""
        if rank is not None:
            now = time.monotonic()
            _, good_until = self._found.get((queue, priority), (0, 0.0))
            self._found[queue, priority] = rank, good_until if now < good_until else now + KNOWN_SECONDS
