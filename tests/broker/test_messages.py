"""Messages arrive as they were sent, the most urgent first."""

from collections.abc import Callable
from typing import Any

import pytest
from kombu import Connection, Consumer, Message, Queue

from tests.broker.sending import publish, receive

Connect = Callable[..., Connection]
Rows = Callable[..., list[Any]]


def test_a_message_is_received_as_it_was_sent(connect: Connect, queue: Queue) -> None:
    publish(connect(), {"n": [1, "é", None]}, queue, headers={"h": 1})
    (message,) = receive(connect(), queue)
    assert (message.payload, message.headers["h"]) == ({"n": [1, "é", None]}, 1)


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
    for body, priority in (("a", 0), ("b", 3), ("c", 9), ("d", 3)):
        publish(connection, body, queue, priority=priority)
    assert [message.payload for message in receive(connection, queue, 4)] == ["c", "b", "d", "a"]


def test_a_requeued_message_keeps_its_place(connect: Connect, queue: Queue) -> None:
    connection = connect()
    for body in ("first", "second"):
        publish(connection, body, queue)
    (first,) = receive(connection, queue)
    first.requeue()
    assert [message.payload for message in receive(connection, queue, 2)] == ["first", "second"]


def test_a_simple_queue_is_a_queue(connect: Connect) -> None:
    with connect().SimpleQueue("simple") as simple:
        simple.put({"n": 1})
        message = simple.get(timeout=5)
        assert message.payload == {"n": 1}
        message.ack()
        with pytest.raises(simple.Empty):
            simple.get(timeout=0.1)


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
