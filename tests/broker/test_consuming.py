"""Who consumes gets what is ready, once, and soon."""

from collections.abc import Callable
from typing import Any

import pytest
from kombu import Connection, Consumer, Message, Queue

from app.broker import publishing_in
from tests.broker.sending import publish

Connect = Callable[..., Connection]
Rows = Callable[..., list[Any]]


def test_two_consumers_never_hold_the_same_message(connect: Connect, queue: Queue) -> None:
    connection = connect()
    for number in range(40):
        publish(connection, number, queue)
    first, second = connect(), connect()
    channels = first.default_channel, second.default_channel
    claimed = [message["body"] for _ in range(4) for channel in channels for message in channel.claim("work", 5)]
    assert sorted(map(int, claimed)) == list(range(40))


def test_an_idle_consumer_is_woken_long_before_it_would_look(connect: Connect, queue: Queue) -> None:
    reader = connect(polling_interval=30)
    got: list[Message] = []
    with Consumer(reader.default_channel, [queue], on_message=got.append, no_ack=True):
        with pytest.raises(TimeoutError):
            reader.drain_events(timeout=0.05)
        publish(connect(), "now", queue)
        reader.drain_events(timeout=5)
    assert [message.payload for message in got] == ["now"]


def test_only_a_sleeping_consumer_is_notified(connect: Connect, queue: Queue) -> None:
    reader, writer = connect(polling_interval=30), connect()
    pump = reader.default_channel.connection.pump
    pump.consuming("work")
    link = reader.default_channel.connection.link
    publish(writer, "1", queue)
    link.wait(5)
    assert link.heard() == {"broker.work"}
    pump._set_idle(False)
    publish(writer, "2", queue)
    link.wait(0.2)
    assert link.heard() == set()


def test_a_message_committed_behind_the_cursor_is_found(connect: Connect, queue: Queue, database: Any) -> None:
    # Given a publisher that took its id early and commits late
    connection = connect(polling_interval=0.05)
    queue(connection.default_channel).declare()
    with publishing_in(database):
        publish(connection, "late", queue)
    for number in range(3):
        publish(connect(), number, queue)
    got: list[Message] = []
    with Consumer(connection.channel(), [queue], on_message=got.append) as consumer:
        consumer.qos(prefetch_count=10)
        while len(got) < 3:
            connection.drain_events(timeout=5)
        # When the cursor has gone past it
        cursor = connection.default_channel.connection.pump._cursors["work"]
        cursor._low = dict.fromkeys(cursor._low, 1_000_000)
        database.commit()
        connection.default_channel.connection.want("work")
        # Then it is delivered all the same
        connection.drain_events(timeout=5)
    assert got[-1].payload == "late"
