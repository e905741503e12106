"""A consumer is present for as long as its connection lasts, whatever it does meanwhile, and is nobody but itself."""

import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from kombu import Connection, Consumer, Exchange, Message, Producer, Queue

from app.broker import pump, transport
from tests.broker.sending import publish, receive

Connect = Callable[..., Connection]
Rows = Callable[..., list[Any]]

ANSWERS = Queue("answers", Exchange("answers"), routing_key="mine", auto_delete=True, expires=10)


def half_an_hour_goes_by(rows: Rows) -> None:
    """Without a word from anybody; or the server's clock was set."""
    rows("UPDATE broker.consumers SET seen_at = seen_at - interval '30 minutes'")
    rows("UPDATE broker.queues SET used_at = used_at - interval '30 minutes', was_consumed = true")


def tidy(connection: Connection) -> None:
    """What every consumer does in its first beat, and now and then in later ones."""
    tidying = connection.default_channel.connection.pump
    tidying.consuming("other")
    tidying.beat()


def test_the_queue_of_a_consumer_that_stands_still_waits_for_it(connect: Connect, rows: Rows) -> None:
    # Given a consumer that does not come to beat, and an answer for it
    connection, got = connect(), list[Message]()
    with Consumer(connection.default_channel, [ANSWERS], on_message=got.append, no_ack=True):
        Producer(connect().default_channel, ANSWERS.exchange).publish("hello", routing_key="mine")
        # When time goes by and others tidy
        half_an_hour_goes_by(rows)
        tidy(connect())
        tidy(connect())
        # Then it is still counted, and gets its answer
        assert ANSWERS(connect().default_channel).queue_declare(passive=True).consumer_count == 1
        connection.drain_events(timeout=5)
    assert [message.payload for message in got] == ["hello"]


def test_the_queue_of_a_consumer_whose_connection_ended_goes_in_time(connect: Connect, rows: Rows) -> None:
    connection = connect()
    with Consumer(connection.default_channel, [ANSWERS], no_ack=True):
        connection.transport.link.close()
        # Given that nobody has learnt of it yet
        tidy(connect())
        assert rows("SELECT name FROM broker.queues") == [("answers",)]
        # When time goes by
        half_an_hour_goes_by(rows)
        tidy(connect())
    # Then nothing is left that anybody would publish to, or notify
    assert rows("SELECT FROM broker.queues") == rows("SELECT FROM broker.bindings") == []
    assert rows("SELECT queues FROM broker.consumers WHERE 'answers' = ANY (queues)") == []


def test_a_consumer_that_is_asleep_is_seen(connect: Connect, rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (transport, pump):
        monkeypatch.setattr(module, "LIFE_SECONDS", 0.2)
    connection = connect()
    seen = "SELECT FROM broker.consumers WHERE seen_at > now() - interval '1 second'"
    with Consumer(connection.default_channel, [ANSWERS], no_ack=True):
        rows("UPDATE broker.consumers SET seen_at = now() - interval '1 minute'")
        assert rows(seen) == []
        time.sleep(0.6)
        assert rows(seen) == [()]


def test_who_only_publishes_has_no_thread(connect: Connect, queue: Queue) -> None:
    before = threading.active_count()
    publish(connect(), "hello", queue)
    assert threading.active_count() == before


def test_two_consumers_of_one_name_are_two(connect: Connect, queue: Queue, rows: Rows) -> None:
    # Given two that operators call the same, with a message each and one queue of their own kind
    one, other = connect(consumer_name="same@here"), connect(consumer_name="same@here")
    for connection in (one, other):
        publish(connection, "work", queue)
        receive(connection, queue)
    inbox = Queue("same@here.inbox", auto_delete=True, expires=10)
    with Consumer(other.default_channel, [inbox]):
        with Consumer(one.default_channel, [inbox]):
            assert rows("SELECT node FROM broker.consumers") == [("same@here",)] * 2
            assert rows("SELECT holder FROM broker.in_flight") == [("same@here",)] * 2
        # When one of them ends
        one.release()
        # Then the other has what it had
        assert rows("SELECT name FROM broker.queues WHERE auto_delete") == [("same@here.inbox",)]
        assert rows("SELECT holder FROM broker.in_flight") == [("same@here",)]
        assert rows("SELECT node, queues FROM broker.consumers") == [("same@here", ["same@here.inbox"])]


def test_no_two_processes_hold_in_one_name(connect: Connect) -> None:
    # Containers may share the name of their host, and each of their workers is process 1.
    holders = {connect().transport.holder for _ in range(3)}
    assert len(holders) == 3
    assert {holder.rpartition(":")[0] for holder in holders} == {f"{socket.gethostname()}:{os.getpid()}"}
