"""Counts that are taken now and then, for limits that need not hold to the last one."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

#: For so long a count is good, with what was added here since.
GOOD_SECONDS: Final = 1.0

#: Nobody is refused for a count that is older, nor for what was added here since.
FRESH_SECONDS: Final = 0.05

_MOST_REMEMBERED: Final = 1000


class _Count:
    """How many there were at a time, and how many were added here since."""

    def __init__(self) -> None:
        self.number, self.added, self.at = 0, 0, float("-inf")


class Counts:
    """How many there are of some things, as far as this process knows: each is counted once a second at most, and what
    is added here in between. What others add in that second may come on top. Any thread may use it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: OrderedDict[str, _Count] = OrderedDict()

    def add(self, name: str, number: int, *, limit: int, count: Callable[[], int]) -> int | None:
        """Add so many, unless there would be more than the limit: answers how many there are then. `count` counts."""
        found = self._find(name)
        is_full = found.number + found.added + number > limit
        age_seconds = time.monotonic() - found.at
        if age_seconds > GOOD_SECONDS or (is_full and (found.added or age_seconds > FRESH_SECONDS)):
            now = count()
            with self._lock:
                found.number, found.added, found.at = now, 0, time.monotonic()
        with self._lock:
            if found.number + found.added + number > limit:
                return found.number + found.added
            found.added += number
        return None

    def _find(self, name: str) -> _Count:
        with self._lock:
            found = self._counts.setdefault(name, _Count())
            self._counts.move_to_end(name)
            while len(self._counts) > _MOST_REMEMBERED:
                self._counts.popitem(last=False)
            return found
