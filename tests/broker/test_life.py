"""The life of a message: it may wait, expire, be given back, be set aside."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kombu import Connection, Consumer, Exchange, Message, Producer, Queue

from app.broker import Delivery, bury
from tests.broker.sending import nothing_arrives, publish, receive

Connect = Callable[..., Connection]
Rows = Callable[..., list[Any]]


def test_a_message_with_an_eta_waits_in_the_database(connect: Connect, queue: Queue, rows: Rows) -> None:
    eta = (datetime.now(UTC) + timedelta(seconds=0.5)).isoformat()
    publish(connect(), "later", queue, headers={"eta": eta})
    assert rows("SELECT state FROM broker.messages") == [("delayed",)]
    connection = connect(polling_interval=0.05)
    assert nothing_arrives(connection, queue)
    (message,) = receive(connection, queue)
    # A worker would wait for it once more, by its own clock.
    assert (message.payload, message.headers["eta"]) == ("later", None)


def test_an_expired_message_is_not_delivered_and_goes(connect: Connect, queue: Queue, rows: Rows) -> None:
    connection = connect(polling_interval=0.05)
    publish(connection, "old", queue, expiration=0.1)
    publish(connection, "lasting", queue)
    time.sleep(0.15)
    assert [message.payload for message in receive(connection, queue)] == ["lasting"]
    another = connect().default_channel.connection.pump
    another.consuming("other")
    another.beat()
    assert rows("SELECT FROM broker.messages WHERE expires_at IS NOT NULL") == []


def test_a_queue_bounds_how_long_its_messages_wait(connect: Connect) -> None:
    connection = connect()
    queue = Queue("hasty", routing_key="hasty", message_ttl=0.1)
    publish(connection, "old", queue)
    time.sleep(0.15)
    assert nothing_arrives(connection, queue)


def test_a_reply_to_somebody_who_has_gone_waits_a_day_for_him(connect: Connect, rows: Rows) -> None:
    connection = connect()
    Producer(connection.default_channel).publish("reply", routing_key="gone")
    publish(connection, "work", Queue("work", routing_key="work"))
    assert rows("SELECT queue, expires_at - enqueued_at FROM broker.messages ORDER BY id") == [
        ("gone", timedelta(days=1)),
        ("work", None),
    ]


def test_however_many_have_expired_they_soon_stand_in_nobodys_way(connect: Connect, rows: Rows) -> None:
    pump = connect().default_channel.connection.pump
    pump.consuming("other")
    rows("""
        INSERT INTO broker.messages (queue, priority, payload, expires_at)
        SELECT 'work', 3, '{}', now() - interval '1 minute' FROM generate_series(1, 12000)
    """)
    for _ in range(3):
        pump.beat()
    assert rows("SELECT FROM broker.messages LIMIT 1") == []


def test_an_unused_queue_expires_with_what_is_in_it(connect: Connect, rows: Rows) -> None:
    publish(connect(), "forgotten", Queue("reply", Exchange("r"), routing_key="reply", expires=0.1))
    time.sleep(0.15)
    tidying = connect().default_channel.connection.pump
    tidying.consuming("other")
    tidying.beat()
    assert rows("SELECT FROM broker.queues WHERE name = 'reply'") == rows("SELECT FROM broker.bindings") == []
    assert rows("SELECT FROM broker.messages") == []


def test_a_queue_in_use_does_not_expire(connect: Connect, rows: Rows) -> None:
    connection = connect()
    queue = Queue("reply", routing_key="reply", expires=0.1)
    with Consumer(connection.default_channel, [queue], on_message=lambda message: message.ack()):
        time.sleep(0.15)
        connection.default_channel.connection.pump.beat()
        assert rows("SELECT name FROM broker.queues") == [("reply",)]


def test_an_automatic_queue_ends_with_its_last_consumer(connect: Connect, rows: Rows) -> None:
    queue = Queue("mine", routing_key="mine", auto_delete=True)
    first, second = connect(), connect()
    with Consumer(first.default_channel, [queue]):
        with Consumer(second.default_channel, [queue]):
            pass
        assert rows("SELECT name FROM broker.queues") == [("mine",)]
    assert rows("SELECT name FROM broker.queues") == []


def test_a_rejected_message_is_set_aside_with_every_byte(connect: Connect, queue: Queue, rows: Rows) -> None:
    connection = connect()
    publish(connection, {"keep": "this"}, queue)
    with Consumer(connection.channel(), [queue], on_message=lambda message: message.reject()):
        connection.drain_events(timeout=5)
    ((reason, body),) = rows("SELECT reason, payload ->> 'body' FROM broker.dead")
    assert (reason, body) == ("rejected", '{"keep": "this"}')
    assert nothing_arrives(connection, queue)


def test_a_message_given_back_too_often_is_set_aside(connect: Connect, queue: Queue, rows: Rows) -> None:
    connection = connect(requeue_limit=3)
    publish(connection, "again", queue)
    got: list[Message] = []
    with Consumer(connection.channel(), [queue], on_message=got.append):
        while not rows("SELECT FROM broker.dead"):
            connection.drain_events(timeout=5)
            got[-1].requeue()
    assert len(got) == 3
    assert rows("SELECT reason, requeues, losses FROM broker.dead") == [("requeued", 3, 0)]


def test_a_message_whose_holders_die_is_set_aside(connect: Connect, queue: Queue, rows: Rows) -> None:
    # Given a message and what is to happen where messages die
    rows("CREATE TABLE obituaries (id bigint, reason text)")
    options = {
        "lease_seconds": 0.05,
        "loss_limit": 3,
        "on_dead": ["INSERT INTO obituaries SELECT id, dead_reason FROM buried"],
    }
    publish(connect(), "deadly", queue)
    beating = connect(**options).default_channel.connection.pump
    beating.consuming("other")
    # When three holders fall silent
    for _ in range(3):
        assert len(connect(**options).default_channel.claim("work", 1)) == 1
        time.sleep(0.1)
        beating.beat()
    # Then there is no fourth, and the hook ran with it
    assert connect().default_channel.claim("work", 1) == []
    assert rows("SELECT reason, losses FROM broker.dead") == [("worker_lost", 3)]
    assert rows("SELECT reason FROM obituaries") == [("worker_lost",)]


def test_a_task_may_set_its_message_aside(connect: Connect, queue: Queue, database: Any, rows: Rows) -> None:
    connection = connect()
    publish(connection, "odd", queue)
    bury(database, Delivery.of(connection.default_channel.claim("work", 1)[0]["properties"]), reason="unheard_of")
    database.commit()
    assert rows("SELECT reason FROM broker.dead") == [("unheard_of",)]


@pytest.mark.parametrize("payload", ["1", "null", "[]", "{}", '{"properties": {}}', '{"properties": 1, "body": ""}'])
def test_what_is_no_message_is_set_aside_and_stops_nobody(
    connect: Connect, queue: Queue, rows: Rows, payload: str
) -> None:
    connection = connect()
    queue(connection.default_channel).declare()
    rows("INSERT INTO broker.messages (queue, payload) VALUES ('work', %s)", payload)
    publish(connection, "fine", queue)
    assert [message.payload for message in receive(connection, queue)] == ["fine"]
    assert rows("SELECT reason, payload::text FROM broker.dead") == [("undecodable", payload)]


def test_many_who_ask_at_once_do_not_lock_each_other_out(connect: Connect) -> None:
    """Flower asks eight questions at a time, each with a queue of its own for the answers."""

    def ask(number: int) -> None:
        for turn in range(15):
            with connect() as connection:
                answers = Queue(f"answers.{number}.{turn}", auto_delete=True, expires=10)
                assert nothing_arrives(connection, answers, seconds=0.01)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(ask, range(8)))
