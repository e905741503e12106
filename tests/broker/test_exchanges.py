"""Exchanges, queues and what binds them, as every process sees them."""

from collections.abc import Callable
from typing import Any

import pytest
from kombu import Connection, Exchange, Producer, Queue

from tests.broker.sending import publish, receive

Connect = Callable[..., Connection]
Rows = Callable[..., list[Any]]


def test_a_fanout_reaches_every_bound_queue_of_every_process(connect: Connect) -> None:
    exchange = Exchange("news", type="fanout")
    readers = [connect(), connect()]
    queues = [Queue(f"reader-{number}", exchange) for number in range(2)]
    for reader, queue in zip(readers, queues, strict=True):
        queue(reader.default_channel).declare()
    Producer(connect().default_channel, exchange).publish("hello", declare=[exchange])
    assert [receive(*pair)[0].payload for pair in zip(readers, queues, strict=True)] == ["hello", "hello"]


def test_a_topic_reaches_the_queues_whose_pattern_fits(connect: Connect) -> None:
    exchange = Exchange("events", type="topic")
    reader = connect()
    queues = {key: Queue(key, exchange, routing_key=key) for key in ("task.#", "*.sent", "worker.*")}
    for queue in queues.values():
        queue(reader.default_channel).declare()
    Producer(connect().default_channel, exchange).publish("hello", routing_key="task.sent", declare=[exchange])
    assert reader.default_channel._size("task.#") == reader.default_channel._size("*.sent") == 1
    assert reader.default_channel._size("worker.*") == 0


def test_an_unbound_queue_hears_no_more(connect: Connect) -> None:
    connection = connect()
    exchange = Exchange("news", type="fanout")
    bound = Queue("reader", exchange)(connection.default_channel)
    bound.declare()
    bound.unbind_from(exchange)
    Producer(connect().default_channel, exchange).publish("hello", declare=[exchange])
    assert connection.default_channel._size("reader") == 0


def test_an_exchange_that_is_not_there_is_an_error_for_the_passive(connect: Connect) -> None:
    channel = connect().default_channel
    with pytest.raises(connect().channel_errors):
        channel.queue_declare("nowhere", passive=True)
    with pytest.raises(connect().channel_errors):
        channel.exchange_declare("nowhere", passive=True)


def test_a_queue_is_measured_purged_and_deleted(connect: Connect, queue: Queue, rows: Rows) -> None:
    connection = connect()
    bound = queue(connection.default_channel)
    publish(connection, 1, queue)
    publish(connection, 2, queue)
    assert bound.queue_declare().message_count == 2
    assert bound.purge() == 2
    bound.delete()
    assert rows("SELECT FROM broker.queues") == []
