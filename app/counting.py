"""Counts that are taken now and then, for limits that need not hold to the last one."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

#: For so long a count is good, with what was added here since.
GOOD_SECONDS: Final = 1.0

#: For so long it is good to refuse somebody by.
FRESH_SECONDS: Final = 0.05

#: A count is not repeated before so many times as long as it took have gone by.
_PAUSE: Final = 10

#: For so long at most somebody waits for a count that another thread takes.
_LONGEST_WAIT_SECONDS: Final = 1.0

_NEVER: Final = float("-inf")

_MOST_REMEMBERED: Final = 1000


class _Count:
    """How many there were at a time, and how many were added here since."""

    def __init__(self) -> None:
        self.number, self.added, self.at = 0, 0, _NEVER
        self.took_seconds = self.pause_seconds = 0.0
        self.turn = threading.Lock()
        """Whoever counts has it."""

    @property
    def total(self) -> int:
        """How many there are now, as far as we know."""
        return self.number + self.added

    def is_due(self, *, is_full: bool) -> bool:
        """Whether to count again. Who would be refused for what was added here has it done at once if it takes little
        time.
        """
        good_seconds = FRESH_SECONDS if is_full else GOOD_SECONDS
        is_to_check = is_full and self.added > 0 and self.pause_seconds <= FRESH_SECONDS
        return is_to_check or time.monotonic() - self.at > max(good_seconds, self.pause_seconds)


class Counts:
    """How many there are of some things, as far as this process knows: each is counted once a second at most, by one
    thread at a time, and what is added here in between. It is counted more often while somebody would be refused, but
    not where that takes long. What others add meanwhile may come on top. Any thread may use it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: OrderedDict[str, _Count] = OrderedDict()

    def add(self, name: str, number: int, *, limit: int, count: Callable[[], int]) -> int | None:
        """Add so many, unless there would be more than the limit: answers how many there are then. `count` counts."""
        found = self._find(name)
        self._renew(found, count, most=limit - number)
        with self._lock:
            if found.total + number > limit:
                return found.total
            found.added += number
        return None

    def read(self, name: str, *, count: Callable[[], int]) -> int:
        """How many there are. `count` counts."""
        found = self._find(name)
        self._renew(found, count)
        with self._lock:
            return found.total

    def _renew(self, found: _Count, count: Callable[[], int], most: int | None = None) -> None:
        """Count again where that is due. While another thread does, the old count is used; only who has none, or more
        than `most` by it, waits, a second at most.
        """
        with self._lock:
            is_full, known_at = most is not None and found.total > most, found.at
            if not found.is_due(is_full=is_full):
                return
        wait_seconds = _LONGEST_WAIT_SECONDS if is_full or known_at == _NEVER else 0
        if found.turn.acquire(timeout=wait_seconds):
            try:
                if found.at == known_at:
                    self._count(found, count)
            finally:
                found.turn.release()

    def _count(self, found: _Count, count: Callable[[], int]) -> None:
        """Count. What is added meanwhile may be counted twice until the next time, and is not forgotten."""
        added, begun_at = found.added, time.monotonic()
        number = count()
        now = time.monotonic()
        with self._lock:
            # What took long once may have waited for something else.
            found.pause_seconds = _PAUSE * min(found.took_seconds, now - begun_at)
            found.number, found.at, found.took_seconds = number, now, now - begun_at
            found.added -= added

    def _find(self, name: str) -> _Count:
        with self._lock:
            found = self._counts.setdefault(name, _Count())
            self._counts.move_to_end(name)
            while len(self._counts) > _MOST_REMEMBERED:
                self._counts.popitem(last=False)
            return found
