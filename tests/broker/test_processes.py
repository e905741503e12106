"""Connections are shared by threads, and left alone by the children of a fork."""

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from kombu import Connection, Consumer, Message, Queue, pools

from tests.broker.sending import drain, publish, receive

Connect = Callable[..., Connection]
Rows = Callable[..., list[Any]]


def in_a_child(do: Callable[[], object]) -> None:
    """Do something in a child of a fork; raises what it raised there."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            do()
        except BaseException as error:  # noqa: BLE001 - it is told to the parent
            os.write(writer, repr(error).encode())
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader, "rb") as said:
        assert said.read() == b""


def backends(rows: Rows) -> int:
    """How many connections of the broker there are."""
    (number,) = rows(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name LIKE 'kiln broker%%'"
    )[0]
    return int(number)


def test_a_child_of_a_fork_uses_a_connection_of_its_own(connect: Connect, queue: Queue, rows: Rows) -> None:
    # Given a parent that consumes and has a message in hand
    connection = connect()
    publish(connection, "parent's", queue)
    got: list[Message] = []
    with Consumer(connection.default_channel, [queue], on_message=got.append, prefetch_count=1):
        connection.drain_events(timeout=5)

        # When a child publishes, consumes and ends
        def child() -> None:
            publish(connection, "child's", queue)
            (message,) = receive(connection, queue)
            assert message.payload == "child's"
            message.ack()
            connection.release()

        in_a_child(child)
        # Then the parent has what it had, and goes on
        assert rows("SELECT state, deliveries, losses FROM broker.messages") == [("leased", 1, 0)]
        assert rows("SELECT count(*) FROM broker.consumers") == [(1,)]
        got[0].ack()
        publish(connection, "next", queue)
        connection.drain_events(timeout=5)
        got[1].ack()
    assert rows("SELECT FROM broker.messages") == []


def test_a_child_that_only_closes_disturbs_nobody(connect: Connect, queue: Queue, rows: Rows) -> None:
    connection = connect()
    publish(connection, 1, queue)
    (message,) = receive(connection, queue)
    in_a_child(connection.release)
    in_a_child(connection.collect)
    assert backends(rows) == 1
    message.ack()
    assert rows("SELECT FROM broker.messages") == []


def test_children_publish_through_their_parents_pool(connect: Connect, queue: Queue, rows: Rows) -> None:
    connection = connect()

    def send() -> None:
        with pools.producers[connection].acquire(block=True) as producer:
            producer.publish("hello", routing_key="work", declare=[queue])

    send()
    for _ in range(3):
        in_a_child(send)
    send()
    pools.reset()
    assert rows("SELECT count(*) FROM broker.messages") == [(5,)]


@pytest.mark.parametrize("pooled", [False, True])
def test_many_threads_publish(connect: Connect, queue: Queue, rows: Rows, pooled: bool) -> None:
    connection = connect()
    producers = connection.Pool(3)

    def send(number: int) -> None:
        if pooled:
            with producers.acquire(block=True) as one:
                publish(one, number, queue)
        else:
            publish(connection, number, queue)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(send, range(200)))
    producers.force_close_all()
    assert rows("SELECT count(DISTINCT payload ->> 'body') FROM broker.messages") == [(200,)]


def test_a_thread_wakes_another_that_waits_on_the_same_connection(connect: Connect, queue: Queue) -> None:
    connection, got = connect(polling_interval=30), list[Message]()
    with Consumer(connection.channel(), [queue], on_message=got.append):
        drain(connection)
        publishing = threading.Timer(0.2, publish, (connection, "hello", queue))
        publishing.start()
        connection.drain_events(timeout=5)
        publishing.join()
    assert got[0].payload == "hello"


def test_threads_publish_while_another_consumes_and_acknowledges(connect: Connect, queue: Queue, rows: Rows) -> None:
    connection, got = connect(), list[int]()

    def take(message: Message) -> None:
        got.append(message.payload)
        message.ack()

    with ThreadPoolExecutor(4) as threads, Consumer(connection.channel(), [queue], on_message=take, prefetch_count=3):
        sent = threads.map(lambda number: publish(connection, number, queue), range(100))
        deadline = time.monotonic() + 20
        while len(got) < 100:
            assert time.monotonic() < deadline
            connection.drain_events(timeout=5)
        list(sent)
    assert sorted(got) == list(range(100))
    assert rows("SELECT FROM broker.messages") == []


def test_a_consumer_that_is_long_at_work_keeps_what_it_holds(connect: Connect, queue: Queue, rows: Rows) -> None:
    # Given a consumer whose work takes longer than its lease, and another one waiting
    connection, other = connect(lease_seconds=0.6), connect(polling_interval=0.05)
    publish(connection, "long", queue)
    taken: list[Message] = []

    def work(message: Message) -> None:
        until = time.monotonic() + 2
        with Consumer(other.channel(), [queue], on_message=taken.append):
            while time.monotonic() < until:
                drain(other)
        message.ack()

    with Consumer(connection.channel(), [queue], on_message=work):
        connection.drain_events(timeout=5)
    # Then nobody else got it
    assert taken == []
    assert rows("SELECT FROM broker.messages") == []
