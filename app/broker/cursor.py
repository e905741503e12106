"""How far a consumer has claimed: what lets a claim stay fast while somebody holds an old snapshot.

A claimed or deleted row stays in the index until no open snapshot may see it, and a claim that starts at the beginning
steps over all of them (10 ms a claim after 60,000 messages, measured). A cursor lets it start further on.
"""

import time
from typing import Any, Final

PRIORITIES: Final = tuple(range(9, -1, -1))

#: Ranks are given before they are committed, so a message may appear behind one that was claimed already. The cursor
#: stays this far behind; what appears even later is found when the consumer starts from the beginning again.
LAG_SECONDS: Final = 0.25

#: Starting from the beginning costs what the cursor saves, so its share of the time is bounded too.
RESTART_SECONDS: Final = 2.0
RESTART_SHARE: Final = 0.02

#: What has been passed over for so many that are more urgent comes first for once: others delay it and never starve it.
MOST_PASSED_OVER: Final = 16


class Cursor:
    """One rank for every priority of one queue: nothing ready is expected below it. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._order = list(PRIORITIES)
        self._passed_over = dict.fromkeys(PRIORITIES, 0)
        self.restart()

    def restart(self) -> None:
        """Begin at the beginning."""
        self._low = dict.fromkeys(PRIORITIES, 0)
        self._last = dict(self._low)
        self._current = dict(self._low)
        self._turn_at = time.monotonic() + LAG_SECONDS

    @property
    def at_the_beginning(self) -> bool:
        """Whether a claim would overlook nothing."""
        return not any(self._low.values())

    def passed(self, priority: int, rank: int) -> None:
        """A message was claimed."""
        self._current[priority] = max(self._current[priority], rank)
        place = self._order.index(priority)
        for looked_at in self._order[: place + 1]:
            self._passed_over[looked_at] = 0
        for other in self._order[place + 1 :]:
            self._passed_over[other] += other < priority

    def parameters(self) -> dict[str, Any]:
        """What CLAIM needs of it: the ranks, in the order in which the priorities are looked at."""
        if time.monotonic() >= self._turn_at:
            self._low, self._last = self._last, dict(self._current)
            self._turn_at = time.monotonic() + LAG_SECONDS
        starved = [priority for priority in PRIORITIES if self._passed_over[priority] >= MOST_PASSED_OVER]
        starved.sort(key=self._passed_over.__getitem__, reverse=True)
        self._order = starved + [priority for priority in PRIORITIES if priority not in starved]
        return {"priorities": self._order, "after": [self._low[priority] for priority in self._order]}


class Restarts:
    """When to begin at the beginning again."""

    def __init__(self) -> None:
        self._due_at = 0.0

    @property
    def due(self) -> bool:
        """Whether it is time."""
        return time.monotonic() >= self._due_at

    def took(self, seconds: float) -> None:
        """It was done and took so long."""
        self._due_at = time.monotonic() + max(RESTART_SECONDS, seconds / RESTART_SHARE)
