"""Messages arrive as they were sent, the most urgent first."""

import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from kombu import Connection, Consumer, Exchange, Message, Producer, Queue

from tests.broker.sending import drain, publish, receive

Connect = Callable[..., Connection]
Rows = Callable[..., list[Any]]


@pytest.mark.parametrize("serializer", ["json", "yaml", "pickle"])
@pytest.mark.parametrize("compression", [None, "zlib", "bzip2", "lzma"])
def test_a_message_is_received_as_it_was_sent(
    connect: Connect, queue: Queue, serializer: str, compression: str | None
) -> None:
    body = {"n": [1, "é\0", None], "quote": "\\u0000"}
    publish(connect(), body, queue, serializer=serializer, compression=compression, headers={"ü": ["h", {"n": 1}]})
    connection = connect()
    got: list[Message] = []
    with Consumer(connection.channel(), [queue], on_message=got.append, accept=[serializer]):
        connection.drain_events(timeout=5)
    assert (got[0].payload, got[0].headers["ü"]) == (body, ["h", {"n": 1}])


@pytest.mark.parametrize("body", [b"", b"\0\xff" * 9, bytes(5 << 20)], ids=["empty", "binary", "large"])
def test_bytes_are_received_as_they_were_sent(connect: Connect, queue: Queue, body: bytes) -> None:
    publish(connect(), body, queue, content_type="application/data", content_encoding="binary")
    (message,) = receive(connect(), queue)
    assert bytes(message.payload or b"") == body
    assert (message.content_type, message.content_encoding) == ("application/data", "binary")


def test_text_is_received_as_it_was_sent_and_people_can_read_it(connect: Connect, queue: Queue, rows: Rows) -> None:
    body = {"text": "prüfung " * 500_000}
    publish(connect(), body, queue)
    assert rows("SELECT payload ->> 'body' LIKE '{\"text\": \"pr%%' FROM broker.messages") == [(True,)]
    assert receive(connect(), queue)[0].payload == body


@pytest.mark.parametrize("name", ["prüfung", "任务", "with space", "a'b\"c%s", "x" * 200, "ü" * 200, "*.#"])
def test_a_queue_may_have_any_name(connect: Connect, name: str) -> None:
    reader, got = connect(polling_interval=30), list[Message]()
    queue = Queue(name, Exchange(name), routing_key=name)
    with Consumer(reader.channel(), [queue], on_message=got.append, no_ack=True):
        drain(reader)
        Producer(connect().default_channel, queue.exchange).publish("hello", routing_key=name)
        reader.drain_events(timeout=5)
    assert got[0].payload == "hello"


def test_headers_that_mean_something_else_to_others_are_only_passed_on(
    connect: Connect, queue: Queue, rows: Rows
) -> None:
    headers = {"eta": "in five minutes", "function_id": 7, "execution_id": "seven"}
    publish(connect(), 1, queue, headers=headers)
    assert rows("SELECT function_id, execution_id FROM broker.messages") == [(None, None)]
    assert receive(connect(), queue)[0].headers == headers


def test_a_batch_is_published_one_by_one(connect: Connect, queue: Queue) -> None:
    connection = connect()
    producer = Producer(connection.default_channel)
    with producer.batch():
        for body, priority in ((1, 3), (2, 6), (3, 3)):
            producer.publish(body, routing_key="work", declare=[queue], priority=priority)
    assert [message.payload for message in receive(connection, queue, 3)] == [2, 1, 3]


def test_an_acknowledged_message_is_deleted(connect: Connect, queue: Queue, rows: Rows) -> None:
    connection = connect()
    publish(connection, 1, queue)
    got: list[Message] = []
    with Consumer(connection.channel(), [queue], on_message=got.append):
        connection.drain_events(timeout=5)
        assert rows("SELECT state FROM broker.messages") == [("leased",)]
        got[0].ack()
    assert rows("SELECT FROM broker.messages") == []


def test_the_more_urgent_message_comes_first_and_equals_keep_their_order(connect: Connect, queue: Queue) -> None:
    connection = connect()
    order = list(zip("abcdefghijkl", [0, 3, 9, 3, 1, 2, 4, 5, 6, 7, 8, 0], strict=True))
    for body, priority in order:
        publish(connection, body, queue, priority=priority)
    got = [message.payload for message in receive(connection, queue, len(order))]
    assert got == [body for body, _ in sorted(order, key=lambda pair: -pair[1])]


def test_a_priority_beyond_the_scale_is_its_end(connect: Connect, queue: Queue, rows: Rows) -> None:
    for priority in (-1, 10, 255):
        publish(connect(), priority, queue, priority=priority)
    assert rows("SELECT priority FROM broker.messages ORDER BY id") == [(0,), (9,), (9,)]


def test_several_consumers_share_the_urgent_before_the_rest(connect: Connect, queue: Queue) -> None:
    connections = [connect(), connect(), connect()]
    for number in range(30):
        publish(connections[0], number, queue, priority=9 if number % 5 == 0 else 3)
    got = [receive(connections[turn % 3], queue)[0] for turn in range(9)]
    assert [message.payload for message in got] == [0, 5, 10, 15, 20, 25, 1, 2, 3]


def test_what_is_given_back_stands_behind_the_more_urgent(connect: Connect, queue: Queue) -> None:
    connection = connect()
    for body, priority in (("first", 3), ("second", 6), ("third", 3)):
        publish(connection, body, queue, priority=priority)
    for message in receive(connection, queue, 3):
        message.requeue()
    publish(connection, "fourth", queue, priority=9)
    got = [message.payload for message in receive(connection, queue, 4)]
    assert got == ["fourth", "second", "first", "third"]


def test_a_requeued_message_keeps_its_place(connect: Connect, queue: Queue) -> None:
    connection = connect()
    for body in ("first", "second"):
        publish(connection, body, queue)
    (first,) = receive(connection, queue)
    first.requeue()
    assert [message.payload for message in receive(connection, queue, 2)] == ["first", "second"]


@pytest.mark.parametrize("kind", ["SimpleQueue", "SimpleBuffer"])
def test_a_simple_queue_is_a_queue(connect: Connect, kind: str) -> None:
    with closing(getattr(connect(), kind)("simple")) as simple:
        for number, priority in enumerate((1, 7, 1)):
            simple.put({"n": number}, headers={"h": 1}, priority=priority)
        got = [simple.get(timeout=5) for _ in range(3)]
        assert [message.payload for message in got] == [{"n": 1}, {"n": 0}, {"n": 2}]
        assert (got[0].content_type, got[0].content_encoding) == ("application/json", "utf-8")
        assert got[0].headers == {"h": 1}
        for message in got:
            message.ack()
        with pytest.raises(simple.Empty):
            simple.get(timeout=0.1)


@pytest.mark.parametrize("kind", ["SimpleQueue", "SimpleBuffer"])
def test_what_waits_too_long_in_a_simple_queue_is_gone(connect: Connect, kind: str) -> None:
    with closing(getattr(connect(), kind)("simple")) as simple:
        simple.put("old", expiration=0.1)
        time.sleep(0.15)
        with pytest.raises(simple.Empty):
            simple.get(timeout=0.1)


@pytest.mark.parametrize("again", [True, False])
def test_a_message_of_a_simple_queue_is_rejected(connect: Connect, again: bool) -> None:
    with closing(connect().SimpleQueue("simple")) as simple:
        simple.put("hello")
        simple.get_nowait().reject(requeue=again)
        if again:
            assert simple.get_nowait().payload == "hello"
        with pytest.raises(simple.Empty):
            simple.get_nowait()


def test_a_message_fetched_by_hand_is_acknowledged_by_hand(connect: Connect, queue: Queue, rows: Rows) -> None:
    connection = connect()
    publish(connection, 1, queue)
    publish(connection, 2, queue)
    bound = queue(connection.default_channel)
    message = bound.get()
    assert bound.get(no_ack=True).payload == 2
    assert bound.get() is None
    assert rows("SELECT state FROM broker.messages") == [("leased",)]
    message.ack()
    assert rows("SELECT FROM broker.messages") == []


def test_a_message_says_who_got_it_and_whether_somebody_had_it_before(connect: Connect, queue: Queue) -> None:
    connection = connect()
    publish(connection, 1, queue)
    got: list[Message] = []
    with Consumer(connection.channel(), [queue], on_message=got.append, tag_prefix="me"):
        connection.drain_events(timeout=5)
        got[0].requeue()
        connection.drain_events(timeout=5)
    assert [message.delivery_info["redelivered"] for message in got] == [False, True]
    assert got[0].delivery_info["consumer_tag"].startswith("me")
