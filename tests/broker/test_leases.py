"""A claimed message belongs to its consumer until it is acknowledged, given back, or the lease runs out."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from kombu import Connection, Consumer, Message, Queue

from app.broker import Delivery, LeaseLost, release, settle
from app.broker.cursor import LAG_SECONDS
from app.broker.delivery import held
from app.broker.statements import RENEW
from tests.broker.sending import drain, nothing_arrives, publish, receive
from tests.patience import until

Connect = Callable[..., Connection]
Rows = Callable[..., list[Any]]


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
    assert (delivery.deliveries, delivery.losses) == (2, 1)


def test_a_renewed_lease_is_kept(connect: Connect, queue: Queue, rows: Rows) -> None:
    publish(connect(), "work", queue)
    holder = connect(lease_seconds=0.5)
    got: list[Message] = []
    with Consumer(holder.default_channel, [queue], on_message=got.append):
        holder.drain_events(timeout=5)
        for _ in range(4):
            time.sleep(0.2)
            assert not connect(polling_interval=0.05).default_channel.claim("work", 1)
        assert rows("SELECT state, deliveries FROM broker.messages") == [("leased", 1)]
        got[0].ack()


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
    assert rows("SELECT state, token FROM broker.messages") == [("leased", second.token)]


def test_a_claim_that_a_crash_forgot_settles_nothing(
    connect: Connect, queue: Queue, database: "psycopg.Connection[Any]", rows: Rows
) -> None:
    # Given a claim that was answered and is not on disk
    connection = connect()
    publish(connection, "work", queue)
    forgotten = Delivery.of(connection.default_channel.claim("work", 1)[0]["properties"])
    # When the row is as it was before, and somebody claims it: for the first time, as far as anybody can see
    rows("UPDATE broker.messages SET state = 'ready', holder = NULL, token = NULL, deliveries = 0")
    again = Delivery.of(connect().default_channel.claim("work", 1)[0]["properties"])
    assert (again.message_id, again.deliveries) == (forgotten.message_id, forgotten.deliveries)
    # Then the first one holds nothing
    with pytest.raises(LeaseLost):
        settle(database, forgotten)
    settle(database, again)


@pytest.mark.parametrize(("acknowledging", "commit"), [(False, "off"), (True, "on")])
def test_only_claims_that_acknowledge_wait_for_the_disk(
    connect: Connect, queue: Queue, acknowledging: bool, commit: str
) -> None:
    shown = "SELECT id AS message_id, to_json(current_setting('synchronous_commit')) AS carried FROM claimed"
    connection = connect(on_claim={"work": shown})
    channel = connection.default_channel
    channel.connection.link.execute("SET synchronous_commit = on")
    publish(connection, 1, queue)
    publish(connection, 2, queue)
    finished = [Delivery.of(message["properties"]) for message in channel.claim("work", 1)]
    (message,) = channel.claim("work", 1, acknowledged=finished if acknowledging else ())
    assert Delivery.of(message["properties"]).carried == commit


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


def test_a_graceful_end_gives_everything_back_uncounted(connect: Connect, queue: Queue, rows: Rows) -> None:
    connection = connect()
    publish(connection, "held", queue)
    receive(connection, queue)
    connection.close()
    assert rows("SELECT state, losses, requeues FROM broker.messages") == [("ready", 0, 0)]


def test_what_is_acknowledged_is_not_forgotten_by_those_who_need_not(
    connect: Connect, queue: Queue, rows: Rows
) -> None:
    # Given a finished message whose deletion waits for the next claim
    connection = connect()
    channel, pump = connection.default_channel, connection.default_channel.connection.pump
    publish(connection, 1, queue)
    with Consumer(channel, [Queue("replies", routing_key="replies")], no_ack=True, on_message=lambda _: None):
        pump.acknowledge(Delivery.of(channel.claim("work", 1)[0]["properties"]))
        # When the next claim is one that leases nothing
        publish(connection, 2, Queue("replies", routing_key="replies"))
        pump.want("replies")
        connection.drain_events(timeout=5)
        pump.flush()
    # Then it is deleted all the same
    assert rows("SELECT FROM broker.messages") == []


def test_an_acknowledgement_that_the_database_refused_is_said_again(
    connect: Connect, queue: Queue, database: "psycopg.Connection[Any]", rows: Rows
) -> None:
    # Given a message in hand whose row somebody has locked
    connection = connect(lease_seconds=1)
    publish(connection, "work", queue)
    (message,) = receive(connection, queue)
    database.execute("SELECT FROM broker.messages FOR UPDATE")
    connection.transport.link.execute("SET statement_timeout = '0.1s'")
    # When its acknowledgement is given up by the server
    with pytest.raises(psycopg.errors.QueryCanceled):
        message.ack()
    database.rollback()
    # Then it is said again before the lease has run out, though nobody asks for it
    time.sleep(0.7)
    assert rows("SELECT FROM broker.messages") == []


def test_a_claim_that_the_database_refused_forgets_no_acknowledgement(
    connect: Connect, queue: Queue, rows: Rows
) -> None:
    # Given a finished message whose deletion waits for the next claim
    connection = connect()
    channel, pump = connection.default_channel, connection.transport.pump
    publish(connection, 1, queue)
    publish(connection, 2, queue)
    with Consumer(channel, [queue], on_message=lambda _: None, prefetch_count=1):
        pump.acknowledge(Delivery.of(channel.claim("work", 1)[0]["properties"]))
        # When that claim is refused
        channel.on_claim = {"work": "SELECT nonsense"}
        with pytest.raises(psycopg.errors.UndefinedColumn):
            connection.drain_events(timeout=5)
        # Then the one after it takes the acknowledgement along
        channel.on_claim = {}
        pump.want("work")
        connection.drain_events(timeout=5)
        assert rows("SELECT state, payload ->> 'body' FROM broker.messages") == [("leased", "2")]


def test_what_was_claimed_is_delivered_although_the_next_claim_was_refused(
    connect: Connect, queue: Queue, rows: Rows
) -> None:
    # Given a consumer whose cursor has moved on
    rows("CREATE TABLE shares (message_id bigint, carried json)")
    connection, got = connect(polling_interval=30), list[Message]()
    channel = connection.default_channel
    with Consumer(channel, [queue], on_message=got.append, prefetch_count=10):
        publish(connection, "first", queue)
        connection.drain_events(timeout=5)
        for _ in range(2):
            time.sleep(LAG_SECONDS)
            connection.transport.pump._cursors["work"].parameters()
        # When it claims a message, and its second look from the beginning is refused
        channel.on_claim = {
            "work": "INSERT INTO shares SELECT id, to_json(share) "
            "FROM (SELECT 1 / count(*) AS share FROM claimed) AS each LEFT JOIN claimed ON true RETURNING *"
        }
        publish(connection, "second", queue)
        with pytest.raises(psycopg.errors.DivisionByZero):
            connection.drain_events(timeout=5)
        # Then it has that message
        connection.drain_events(timeout=0)
    assert [message.payload for message in got] == ["first", "second"]


def test_what_is_done_after_its_connection_was_lost_is_acknowledged_over_the_next(
    connect: Connect, queue: Queue, rows: Rows
) -> None:
    # Given a message in hand whose connection was lost, as Celery finds out
    connection = connect()
    publish(connection, "work", queue)
    (message,) = receive(connection, queue)
    cut(rows)
    with pytest.raises(connection.connection_errors):
        connection.drain_events(timeout=5)
    connection.collect()
    connection.close()
    assert rows("SELECT state FROM broker.messages") == [("leased",)]
    # When its work is done, then the next connection says so
    message.ack()
    assert nothing_arrives(connect(), queue)
    assert rows("SELECT FROM broker.messages") == []


def test_what_a_lost_connection_had_claimed_ahead_is_given_back_over_the_next(
    connect: Connect, queue: Queue, rows: Rows
) -> None:
    # Given a consumer that claimed three messages and fails with the first
    connection, got = connect(), list[Message]()
    for number in range(3):
        publish(connection, number, queue)
    with Consumer(connection.default_channel, [queue], on_message=fail, prefetch_count=3):
        with pytest.raises(ZeroDivisionError):
            connection.drain_events(timeout=5)
        assert rows("SELECT count(*) FROM broker.messages WHERE state = 'leased'") == [(3,)]
        # When its connection is lost
        cut(rows)
    connection.collect()
    # Then the next one gets the others, long before their leases end
    other = connect()
    with Consumer(other.default_channel, [queue], on_message=got.append):
        drain(other)
    assert [message.payload for message in got] == [1, 2]
    assert rows("SELECT DISTINCT losses, requeues FROM broker.messages") == [(0, 0)]


def fail(_message: Message) -> None:
    """What a consumer must not do."""
    raise ZeroDivisionError


def cut(rows: Rows) -> None:
    """End every connection of the tests, but this one."""
    others = "FROM pg_stat_activity WHERE usename = current_user AND pid <> pg_backend_pid()"
    rows(f"SELECT pg_terminate_backend(pid) {others}")


def test_a_queue_is_deleted_while_leases_are_renewed(
    connect: Connect, queue: Queue, database: "psycopg.Connection[Any]", rows: Rows
) -> None:
    """Neither waits for the other, which would end with an error for one of them."""
    # Given a consumer with two messages in hand, the first of which somebody has locked
    connection = connect()
    for number in range(2):
        publish(connection, number, queue)
    first, second = receive(connection, queue, 2)
    database.execute("SELECT FROM broker.messages ORDER BY id LIMIT 1 FOR UPDATE")
    with ThreadPoolExecutor() as threads:
        # When another deletes the queue, and the consumer renews what it has, in whatever order
        deleting = threads.submit(connect().default_channel.queue_delete, "work")
        until(lambda: waiting(rows) == 1)
        deliveries = [Delivery.of(message.properties) for message in (second, first)]
        renewing = threads.submit(connection.transport.link.execute, RENEW, held(deliveries) | {"lease": "15 s"})
        until(lambda: waiting(rows) == 2)
        database.rollback()
        # Then both end
        deleting.result(timeout=10)
        renewing.result(timeout=10)
    assert rows("SELECT FROM broker.messages") == rows("SELECT FROM broker.queues") == []


def waiting(rows: Rows) -> int:
    """How many sessions wait for a lock."""
    return len(rows("SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"))
