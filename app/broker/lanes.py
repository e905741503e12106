"""Lanes: how those who publish to one queue share its consumers.

Messages of one priority are claimed in the order of their ranks, which they are given when they are written, by
start-time fair queueing (Goyal, Vin, Cheng 1996). A message comes after the last one of its lane that waits, and never
before the head of the queue. So the lanes take turns, whoever has published ten thousand messages and whoever has
published one; a lane that is alone is first in, first out; and neither a claim nor its end does anything for it. In a
queue in which nothing waits, ranks are beyond all that were given, and so are those of messages without a lane.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Place:
    """Where a message belongs among those that wait."""

    priority: int
    lane: str | None = None


class Heads:
    """Where queues begin, as this process has last seen it: a lower bound, so that whoever looks for the head does not
    step over everything that was claimed since the oldest snapshot that is open. Any thread may use it.
    """

    def __init__(self) -> None:
        self._ranks: dict[tuple[str, int], int] = {}

    def parameters(self, queue: str, place: Place) -> dict[str, Any]:
        """What the statements that publish need to know of a place."""
        head = self._ranks.get((queue, place.priority), 0)
        return {"priority": place.priority, "lane": place.lane, "head": head}

    def seen(self, queue: str, place: Place, rank: int | None) -> None:
        """A statement has found the head, or nothing that waits."""
        if rank is not None:
            self._ranks[queue, place.priority] = rank
