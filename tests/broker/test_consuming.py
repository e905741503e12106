"""Who consumes gets what is ready, once, and soon."""

import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from kombu import Connection, Consumer, Message, Queue
from kombu.asynchronous import Hub

from app.broker import Delivery, publishing_in, release
from app.broker.link import channel_of
from tests.broker.sending import drain, publish, receive

Connect = Callable[..., Connection]
Rows = Callable[..., list[Any]]


def move_on(connection: Connection, queue: str) -> None:
    """Let a consumer's cursor be beyond everything there is, and not be set back for a while."""
    pump = connection.default_channel.connection.pump
    cursor = pump._cursors[queue]
    cursor._low = dict.fromkeys(cursor._low, 1_000_000)
    cursor._last, cursor._current = dict(cursor._low), dict(cursor._low)
    pump._restarts.took(0)


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
    link.read()
    assert link.heard() == {"broker.work": [""]}
    pump._set_idle(False)
    publish(writer, "2", queue)
    link.wait(0.2)
    link.read()
    assert link.heard() == {}


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
        move_on(connection, "work")
        database.commit()
        connection.default_channel.connection.want("work")
        # Then it is delivered all the same
        connection.drain_events(timeout=5)
    assert got[-1].payload == "late"


def requeue(message: Message, _database: Any) -> None:
    """A consumer does not want it."""
    message.requeue()


def close(message: Message, _database: Any) -> None:
    """A consumer ends."""
    message.channel.close()


def release_now(message: Message, database: "psycopg.Connection[Any]") -> None:
    """A task gives it back."""
    release(database, Delivery.of(message.properties))
    database.commit()


@pytest.mark.parametrize("give_back", [requeue, close, release_now])
def test_what_one_consumer_gives_back_another_gets_at_once(
    connect: Connect, queue: Queue, database: Any, give_back: Callable[[Message, Any], None]
) -> None:
    # Given one message in hand, and another consumer that sleeps and has gone past it
    holder, sleeper = connect(), connect(polling_interval=0.1)
    publish(holder, "behind", queue)
    (message,) = receive(holder, queue)
    got: list[str] = []

    def take(message: Message) -> None:
        got.append(message.payload)
        message.ack()

    with Consumer(sleeper.channel(), [queue], on_message=take):
        drain(sleeper)
        move_on(sleeper, "work")
        # When it is given back, then the other gets it, not only what is new
        give_back(message, database)
        publish(holder, "new", queue)
        drain(sleeper)
    assert sorted(got) == ["behind", "new"]


def test_what_one_consumer_makes_ready_another_gets_at_once(connect: Connect, queue: Queue, database: Any) -> None:
    holder, sleeper = connect(), connect(polling_interval=30)
    publish(holder, "behind", queue)
    (message,) = receive(holder, queue)
    with Consumer(sleeper.channel(), [queue], on_message=lambda message: message.ack()):
        drain(sleeper)
        move_on(sleeper, "work")
        release(database, Delivery.of(message.properties), delay_seconds=0.1)
        database.commit()
        time.sleep(0.2)
        beating = connect().default_channel.connection.pump
        beating.consuming("other")
        beating.beat()
        sleeper.drain_events(timeout=5)


@pytest.mark.parametrize("name", ["work", "prüfung", "x" * 56, "x" * 57, "ü" * 28, "ü" * 29, "任" * 200, "a'b\"c"])
def test_python_and_sql_call_a_channel_the_same(rows: Rows, name: str) -> None:
    assert rows("SELECT broker.channel_of(%s)", name) == [(channel_of(name),)]
    assert len(channel_of(name).encode()) <= 63


def test_an_acknowledgement_is_not_forgotten_while_another_queue_is_claimed_from(
    connect: Connect, queue: Queue, rows: Rows
) -> None:
    connection = connect()
    hub = Hub()
    connection.register_with_event_loop(hub)
    publish(connect(), 1, queue)
    replies = Queue("replies", routing_key="replies")
    done: list[Message] = []
    with (
        Consumer(connection.channel(), [queue], on_message=done.append),
        Consumer(connection.channel(), [replies], on_message=done.append, no_ack=True),
    ):
        connection.connection._run()
        done[0].ack()
        publish(connect(), 2, replies)
        connection.connection.want("replies")
        connection.connection._run()
        connection.connection._flush()
    assert len(done) == 2
    assert rows("SELECT FROM broker.messages") == []


def test_a_worker_that_has_been_idle_for_long_looks_half_as_often(connect: Connect, queue: Queue) -> None:
    connection = connect()
    connection.register_with_event_loop(Hub())
    transport = connection.connection
    with Consumer(connection.channel(), [queue]):
        for idle_seconds, beats in ((0, 4), (60, 2)):
            transport.pump.claimed_at = time.monotonic() - idle_seconds
            before = transport.pump._beats
            for _ in range(4):
                transport._on_beat()
            assert transport.pump._beats - before == beats
