"""The transport's promises, each on real PostgreSQL."""

import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from kombu import Connection, Consumer, Exchange, Message, Producer, Queue
from kombu.asynchronous import Hub

from app.broker import Delivery, LeaseLost, publishing_in, release, settle
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


def test_a_message_in_a_transaction_exists_only_when_it_commits(
    connect: Connect, queue: Queue, database: "psycopg.Connection[Any]", rows: Rows
) -> None:
    connection = connect()
    queue(connection.default_channel).declare()
    with publishing_in(database):
        publish(connection, "lost", queue)
    database.rollback()
    with publishing_in(database):
        publish(connection, "kept", queue)
    assert rows("SELECT FROM broker.messages") == []
    database.commit()
    assert [message.payload for message in receive(connection, queue)] == ["kept"]


def test_the_more_urgent_message_comes_first_and_equals_keep_their_order(connect: Connect, queue: Queue) -> None:
    connection = connect()
    for body, priority in (("a", 0), ("b", 3), ("c", 9), ("d", 3)):
        publish(connection, body, queue, priority=priority)
    assert [message.payload for message in receive(connection, queue, 4)] == ["c", "b", "d", "a"]


def test_two_consumers_never_hold_the_same_message(connect: Connect, queue: Queue) -> None:
    connection = connect()
    for number in range(40):
        publish(connection, number, queue)
    first, second = connect(), connect()
    channels = first.default_channel, second.default_channel
    claimed = [message["body"] for _ in range(4) for channel in channels for message in channel.claim("work", 5)]
    assert sorted(map(int, claimed)) == list(range(40))


def test_a_silent_consumers_message_goes_to_the_next_as_another_delivery(connect: Connect, queue: Queue) -> None:
    # Given a consumer that claimed a message and never said another word
    publish(connect(), "work", queue)
    silent = connect(lease_seconds=0.3)
    assert len(silent.default_channel.claim("work", 1)) == 1
    # When its lease has run out
    time.sleep(0.4)
    # Then the next consumer gets it, and knows that a holder was lost
    (message,) = receive(connect(polling_interval=0.1), queue)
    delivery = Delivery.of(message.properties)
    assert (delivery.token, delivery.losses) == (2, 1)


def test_a_renewed_lease_is_kept(connect: Connect, queue: Queue, rows: Rows) -> None:
    publish(connect(), "work", queue)
    holder = connect(lease_seconds=0.5)
    got: list[Message] = []
    with Consumer(holder.default_channel, [queue], on_message=got.append):
        holder.drain_events(timeout=5)
        for _ in range(4):
            time.sleep(0.2)
            holder.default_channel.renew()
            connect().default_channel.connection.pump.beat()
        assert rows("SELECT state, deliveries FROM broker.messages") == [("leased", 1)]
        got[0].ack()


def test_settling_commits_with_the_result_or_not_at_all(
    connect: Connect, queue: Queue, database: "psycopg.Connection[Any]", rows: Rows
) -> None:
    connection = connect()
    publish(connection, "work", queue)
    delivery = Delivery.of(connection.default_channel.claim("work", 1)[0]["properties"])
    settle(database, delivery)
    database.rollback()
    assert len(rows("SELECT FROM broker.messages")) == 1
    settle(database, delivery)
    database.commit()
    assert rows("SELECT FROM broker.messages") == []


def test_a_superseded_lease_settles_nothing(
    connect: Connect, queue: Queue, database: "psycopg.Connection[Any]", rows: Rows
) -> None:
    connection = connect()
    publish(connection, "work", queue)
    first = Delivery.of(connection.default_channel.claim("work", 1)[0]["properties"])
    release(database, first)
    database.commit()
    second = Delivery.of(connection.default_channel.claim("work", 1)[0]["properties"])
    with pytest.raises(LeaseLost):
        settle(database, first)
    database.rollback()
    release(database, first)
    database.commit()
    assert rows("SELECT state, deliveries FROM broker.messages") == [("leased", second.token)]


def test_a_message_given_back_for_later_is_delayed(
    connect: Connect, queue: Queue, database: "psycopg.Connection[Any]"
) -> None:
    connection = connect(polling_interval=0.05)
    publish(connection, "work", queue)
    delivery = Delivery.of(connection.default_channel.claim("work", 1)[0]["properties"])
    release(database, delivery, delay_seconds=0.3)
    database.commit()
    began = time.monotonic()
    receive(connection, queue)
    assert time.monotonic() - began >= 0.25


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


def test_an_idle_consumer_is_woken_long_before_it_would_look(connect: Connect, queue: Queue) -> None:
    reader = connect(polling_interval=30)
    got: list[Message] = []
    with Consumer(reader.default_channel, [queue], on_message=got.append, no_ack=True):
        with pytest.raises(TimeoutError):
            reader.drain_events(timeout=0.05)
        publish(connect(), "now", queue)
        reader.drain_events(timeout=5)
    assert [message.payload for message in got] == ["now"]


def test_a_lost_connection_is_an_error_that_kombu_recovers_from(connect: Connect, queue: Queue, rows: Rows) -> None:
    connection = connect()
    publish(connection, 1, queue)
    rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
    with pytest.raises(connection.connection_errors):
        publish(connection, 2, queue)
    connection.ensure_connection()


def test_a_queue_is_measured_purged_and_deleted(connect: Connect, queue: Queue, rows: Rows) -> None:
    connection = connect()
    bound = queue(connection.default_channel)
    publish(connection, 1, queue)
    publish(connection, 2, queue)
    assert bound.queue_declare().message_count == 2
    assert bound.purge() == 2
    bound.delete()
    assert rows("SELECT FROM broker.queues") == []


@pytest.mark.parametrize("state", ["delayed", "leased"])
def test_a_claim_reads_only_ready_messages_by_its_index(rows: Rows, state: str) -> None:
    holder = "'x'" if state == "leased" else "NULL"
    rows(
        "INSERT INTO broker.messages (queue, state, holder, payload)"  # noqa: S608
        f" SELECT 'work', '{state}', {holder}, '{{}}' FROM generate_series(1, 5000)"
    )
    rows("INSERT INTO broker.messages (queue, payload) SELECT 'work', '{}' FROM generate_series(1, 5000)")
    rows("ANALYZE broker.messages")
    plan = rows(
        "EXPLAIN (FORMAT JSON) SELECT id FROM broker.messages WHERE queue = 'work' AND state = 'ready'"
        " ORDER BY priority DESC, id LIMIT 2 FOR UPDATE SKIP LOCKED"
    )
    assert "ix_messages_ready" in str(plan)
    assert "'Sort'" not in str(plan)
