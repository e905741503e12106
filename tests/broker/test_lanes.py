"""Lanes take turns, and what is less urgent has its turn at last."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from kombu import Connection, Queue

from app.broker import Bounds, lanes
from app.broker.cursor import MOST_PASSED_OVER, Cursor
from app.broker.lanes import KNOWN_SECONDS
from tests.broker.sending import publish, receive
from tests.patience import until

Connect = Callable[..., Connection]
Rows = Callable[..., list[Any]]


def send(connection: Connection, queue: Queue, lane: str, count: int, **options: Any) -> None:
    """Messages of one lane: a1, a2, …"""
    for number in range(1, count + 1):
        publish(connection, f"{lane}{number}", queue, headers={"lane": lane}, **options)


def bodies(connection: Connection, queue: Queue, count: int) -> list[str | int]:
    """The next messages, one claim after the other, acknowledged."""
    got = []
    for _ in range(count):
        (message,) = receive(connection, queue)
        message.ack()
        got.append(message.payload)
    return got


def test_lanes_take_turns_whoever_has_sent_more(connect: Connect, queue: Queue) -> None:
    connection = connect()
    send(connection, queue, "a", 6)
    send(connection, queue, "b", 2)
    send(connection, queue, "c", 1)
    got = [message.payload for message in receive(connection, queue, 9)]
    assert got == ["a1", "b1", "c1", "a2", "b2", "a3", "a4", "a5", "a6"]


def test_who_comes_late_is_next_and_not_before_those_whose_turn_it_is(connect: Connect, queue: Queue) -> None:
    connection = connect()
    send(connection, queue, "a", 5)
    send(connection, queue, "b", 5)
    assert bodies(connection, queue, 5) == ["a1", "b1", "a2", "b2", "a3"]
    send(connection, queue, "c", 2)
    assert bodies(connection, queue, 7) == ["b3", "c1", "a4", "b4", "c2", "a5", "b5"]


def test_who_waits_for_nothing_gets_no_more_turns_than_the_others(connect: Connect, queue: Queue) -> None:
    connection = connect()
    send(connection, queue, "a", 8)
    got: list[str | int] = []
    for number in range(4):
        publish(connection, f"b{number}", queue, headers={"lane": "b"})
        got += bodies(connection, queue, 2)
    assert got == ["a1", "b0", "a2", "b1", "a3", "b2", "a4", "b3"]


def test_a_lane_alone_and_messages_without_one_keep_their_order(connect: Connect, queue: Queue) -> None:
    connection = connect()
    send(connection, queue, "a", 3)
    for number in range(3):
        publish(connection, number, queue)
    assert bodies(connection, queue, 6) == ["a1", "a2", "a3", 0, 1, 2]
    send(connection, queue, "b", 2)
    assert bodies(connection, queue, 2) == ["b1", "b2"]


def test_what_becomes_due_takes_turns_with_the_others(connect: Connect, queue: Queue, rows: Rows) -> None:
    connection = connect()
    soon = datetime.now(UTC) + timedelta(seconds=1)
    for number in range(3):
        eta = soon + timedelta(milliseconds=100 * number)
        publish(connection, f"due{number}", queue, headers={"lane": "due", "eta": eta.isoformat()})
    send(connection, queue, "a", 4)
    pump = consuming(connection)
    until(lambda: (pump.beat(), not rows("SELECT FROM broker.messages WHERE state = 'delayed'"))[1], what="all due")
    assert bodies(connection, queue, 7) == ["a1", "due0", "a2", "due1", "a3", "due2", "a4"]


def consuming(connection: Connection) -> Any:
    """The pump of a consumer of the queue."""
    channel: Any = connection.default_channel
    channel.connection.pump.consuming("work")
    return channel.connection.pump


def test_the_less_urgent_has_its_turn_at_last(connect: Connect, queue: Queue) -> None:
    connection = connect()
    for priority, count in ((8, 60), (6, 60), (3, 2)):
        for _ in range(count):
            publish(connection, priority, queue, priority=priority)
    cursor, channel = Cursor(), connection.default_channel
    claimed: Any = channel
    order = [claimed.claim("work", 1, cursor=cursor)[0]["properties"]["priority"] for _ in range(56)]
    first = order.index(3)
    # Never before its time, soon after it, and none of the two that are more urgent has starved the other.
    assert order[:MOST_PASSED_OVER] == [8] * MOST_PASSED_OVER
    assert first < MOST_PASSED_OVER + 3
    assert order.count(3) == 2
    assert order.count(6) == 3


def test_a_bound_is_good_for_a_while_only(monkeypatch: pytest.MonkeyPatch) -> None:
    bounds, now = Bounds(), 100.0
    monkeypatch.setattr(lanes, "time", SimpleNamespace(monotonic=lambda: now))
    bounds.seen("work", 3, 7)
    assert (bounds.at("work", 3), bounds.at("work", 4), bounds.at("other", 3)) == (7, 0, 0)
    # What nobody has found is no bound.
    bounds.seen("work", 3, None)
    now += KNOWN_SECONDS / 2
    bounds.seen("work", 3, 9)
    assert bounds.at("work", 3) == 9
    # However often it was seen since, it is looked for from the beginning again.
    now += KNOWN_SECONDS / 2
    assert bounds.at("work", 3) == 0
