"""Counts that are taken now and then."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.counting import GOOD_SECONDS, Counts

LIMIT = 10


class Counter:
    """Counts what is there, and remembers how often it was asked, and by how many at once."""

    def __init__(self, found: int = 0, *, seconds: float = 0.0) -> None:
        self.found, self.seconds = found, seconds
        self.times = self.under_way = self.most_under_way = 0

    def __call__(self) -> int:
        self.times += 1
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        time.sleep(self.seconds)
        self.under_way -= 1
        return self.found


def at_once(number: int, ask: Callable[[], int | None]) -> list[int | None]:
    """What so many are answered that ask at the same moment."""
    start = threading.Barrier(number)

    def wait_and_ask() -> int | None:
        start.wait()
        return ask()

    with ThreadPoolExecutor(number) as threads:
        return [one.result() for one in [threads.submit(wait_and_ask) for _ in range(number)]]


def test_fifty_at_once_lead_to_one_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.counting.GOOD_SECONDS", 60)
    counts, counter = Counts(), Counter(seconds=0.1)
    assert at_once(50, lambda: counts.add("all", 1, limit=50, count=counter)) == [None] * 50
    assert counter.times == 1
    assert counts.read("all", count=counter) == 50


def test_fifty_that_find_it_full_lead_to_one_count_and_wait_for_it() -> None:
    counts, counter = Counts(), Counter(50)
    assert counts.add("all", 1, limit=50, count=counter) == 50
    time.sleep(0.06)
    counter.found, counter.seconds = 0, 0.1
    assert at_once(50, lambda: counts.add("all", 1, limit=50, count=counter)) == [None] * 50
    assert (counter.times, counter.most_under_way) == (2, 1)


def test_who_has_room_by_the_old_count_does_not_wait_for_another() -> None:
    counts, counter = Counts(), Counter()
    counts.add("all", 1, limit=LIMIT, count=counter)
    time.sleep(GOOD_SECONDS)
    counter.seconds = 0.5
    with ThreadPoolExecutor(1) as threads:
        counting = threads.submit(counts.read, "all", count=counter)
        while not counter.under_way:
            time.sleep(0.001)
        begun_at = time.monotonic()
        assert counts.add("all", 1, limit=LIMIT, count=counter) is None
        assert time.monotonic() - begun_at < 0.4
        counting.result()
    # What was added while it was counted is not forgotten.
    assert counts.read("all", count=counter) == 1


def test_who_waits_for_a_count_waits_so_long_and_goes_by_the_old_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.counting._LONGEST_WAIT_SECONDS", 0.05)
    counts, counter = Counts(), Counter(LIMIT)
    counts.read("all", count=counter)
    time.sleep(0.06)
    counter.seconds = 0.5
    with ThreadPoolExecutor(1) as threads:
        counting = threads.submit(counts.add, "all", 1, limit=LIMIT, count=counter)
        while not counter.under_way:
            time.sleep(0.001)
        assert counts.add("all", 1, limit=LIMIT, count=counter) == LIMIT
        assert counter.under_way
        counting.result()
    assert counter.most_under_way == 1


def test_the_longer_a_count_takes_the_less_often_is_what_is_full_counted() -> None:
    counts, counter = Counts(), Counter(LIMIT, seconds=0.05)
    end = time.monotonic() + 1.2
    while time.monotonic() < end:
        assert counts.add("all", 1, limit=LIMIT, count=counter) == LIMIT
        time.sleep(0.002)
    assert 2 <= counter.times <= 4


def test_nobody_is_refused_for_what_was_added_where_counting_costs_little() -> None:
    counts, counter = Counts(), Counter()
    for _ in range(50):
        assert counts.add("all", 1, limit=1, count=counter) is None


def test_a_count_that_fails_is_taken_by_the_next() -> None:
    counts = Counts()

    def fail() -> int:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        counts.add("all", 1, limit=LIMIT, count=fail)
    assert counts.add("all", 1, limit=LIMIT, count=Counter(LIMIT)) == LIMIT
