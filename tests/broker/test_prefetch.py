"""How much a consumer may hold at a time, and who is served first."""

from collections.abc import Callable
from typing import Any

from kombu import Connection, Consumer, Message, Queue

from tests.broker.sending import drain, publish, receive

Connect = Callable[..., Connection]
Rows = Callable[..., list[Any]]


def filled(connection: Connection, *queues: Queue, count: int = 10) -> None:
    """Publish some messages to each queue: its name and a number."""
    for queue in queues:
        for number in range(count):
            publish(connection, f"{queue.name}{number}", queue)


def payloads(messages: list[Message]) -> list[str]:
    """What was received."""
    return [message.payload for message in messages]


def test_a_consumer_holds_no_more_than_its_limit(connect: Connect, queue: Queue) -> None:
    connection, got = connect(), list[Message]()
    filled(connection, queue)
    with Consumer(connection.channel(), [queue], on_message=got.append, prefetch_count=3) as consumer:
        drain(connection)
        assert payloads(got) == ["work0", "work1", "work2"]
        got[1].ack()
        drain(connection)
        assert payloads(got[3:]) == ["work3"]
        consumer.qos(prefetch_count=5)
        drain(connection)
        assert payloads(got[4:]) == ["work4", "work5"]


def test_two_channels_hold_each_their_own_of_one_queue(connect: Connect, queue: Queue) -> None:
    connection, first, second = connect(), list[Message](), list[Message]()
    filled(connection, queue)
    with Consumer(connection.channel(), [queue], on_message=first.append, prefetch_count=2):
        with Consumer(connection.channel(), [queue], on_message=second.append, prefetch_count=3):
            drain(connection)
            assert (len(first), len(second)) == (2, 3)
        # When one has gone, the other goes on.
        first[0].ack()
        drain(connection)
    assert (len(first), len(second)) == (3, 3)
    assert len({message.payload for message in first + second}) == 6


def test_two_consumers_of_one_channel_take_turns(connect: Connect, queue: Queue) -> None:
    connection, first, second = connect(), list[Message](), list[Message]()
    filled(connection, queue)
    channel = connection.channel()
    with Consumer(channel, [queue], on_message=first.append, prefetch_count=4):
        with Consumer(channel, [queue], on_message=second.append):
            drain(connection)
            assert (payloads(first), payloads(second)) == (["work0", "work2"], ["work1", "work3"])
        first[0].ack()
        drain(connection)
    assert (len(first), len(second)) == (3, 2)


def test_a_global_limit_is_one_for_all_channels_of_a_connection(connect: Connect) -> None:
    connection, got = connect(), list[Message]()
    left, right = (Queue(name, routing_key=name) for name in ("left", "right"))
    filled(connection, left, right)
    one, other = connection.channel(), connection.channel()
    one.basic_qos(0, 3, True)
    with Consumer(one, [left], on_message=got.append), Consumer(other, [right], on_message=got.append):
        drain(connection)
        assert len(got) == 3
        for _ in range(3):
            got[-1].ack()
            drain(connection)
    # It starves neither.
    assert len(got) == 6
    assert {message.payload[0] for message in got} == {"l", "r"}


def test_a_queue_that_is_always_full_starves_no_other(connect: Connect) -> None:
    connection, got = connect(), list[Message]()
    busy, quiet = Queue("busy", routing_key="busy"), Queue("quiet", routing_key="quiet")
    filled(connection, busy, count=50)
    filled(connection, quiet, count=1)
    with Consumer(connection.channel(), [busy, quiet], on_message=got.append, prefetch_count=1):
        for _ in range(3):
            connection.drain_events(timeout=5)
            got[-1].ack()
    assert "quiet0" in payloads(got)


def test_who_stops_in_the_middle_gives_back_what_it_has_not_seen(connect: Connect, queue: Queue, rows: Rows) -> None:
    connection, got = connect(), list[Message]()
    filled(connection, queue, count=5)
    consumer = Consumer(connection.channel(), [queue])

    def once(message: Message) -> None:
        got.append(message)
        consumer.cancel()

    consumer.on_message = once
    consumer.consume()
    drain(connection)
    assert payloads(got) == ["work0"]
    assert rows("SELECT state, count(*) FROM broker.messages GROUP BY state ORDER BY state") == [
        ("leased", 1),
        ("ready", 4),
    ]


def test_recovering_gives_back_what_is_held(connect: Connect, queue: Queue, rows: Rows) -> None:
    connection = connect()
    filled(connection, queue, count=2)
    first, _ = receive(connection, queue, 2)
    first.channel.basic_recover(requeue=True)
    assert rows("SELECT DISTINCT state, requeues, losses FROM broker.messages") == [("ready", 0, 0)]
    assert payloads(receive(connection, queue, 2)) == ["work0", "work1"]
