"""The life of a message: it may wait, expire, be given back, be set aside."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kombu import Connection, Consumer, Exchange, Message, Producer, Queue
from sqlalchemy import create_engine

from app.broker import Delivery, bury, publishing_in
from app.settings import Settings
from tests.broker.sending import publish, receive

Connect = Callable[..., Connection]
Rows = Callable[..., list[Any]]


def nothing_arrives(connection: Connection, queue: Queue, *, seconds: float = 0.2) -> bool:
    """Whether the queue gives nothing within a moment."""
    with Consumer(connection.channel(), [queue], on_message=lambda message: message.ack()):
        try:
            connection.drain_events(timeout=seconds)
        except TimeoutError:
            return True
    return False


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


def test_a_requeued_message_keeps_its_place(connect: Connect, queue: Queue) -> None:
    connection = connect()
    for body in ("first", "second"):
        publish(connection, body, queue)
    (first,) = receive(connection, queue)
    first.requeue()
    assert [message.payload for message in receive(connection, queue, 2)] == ["first", "second"]


def test_a_graceful_end_gives_everything_back_uncounted(connect: Connect, queue: Queue, rows: Rows) -> None:
    connection = connect()
    publish(connection, "held", queue)
    receive(connection, queue)
    connection.close()
    assert rows("SELECT state, losses, requeues FROM broker.messages") == [("ready", 0, 0)]


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
        cursor = connection.default_channel.connection.pump._cursors["work"]
        cursor._low = dict.fromkeys(cursor._low, 1_000_000)
        database.commit()
        connection.default_channel.connection.want("work")
        # Then it is delivered all the same
        connection.drain_events(timeout=5)
    assert got[-1].payload == "late"


def test_a_task_is_sent_through_sqlalchemys_transaction(
    connect: Connect, queue: Queue, settings: Settings, rows: Rows
) -> None:
    connection = connect()
    queue(connection.default_channel).declare()
    engine = create_engine("postgresql+psycopg" + settings.database_url.removeprefix("postgresql"))
    with engine.begin() as transaction, publishing_in(transaction):
        publish(connection, "with its row", queue)
        assert rows("SELECT FROM broker.messages") == []
    engine.dispose()
    assert [message.payload for message in receive(connection, queue)] == ["with its row"]


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


def test_an_exchange_that_is_not_there_is_an_error_for_the_passive(connect: Connect) -> None:
    channel = connect().default_channel
    with pytest.raises(connect().channel_errors):
        channel.queue_declare("nowhere", passive=True)
    with pytest.raises(connect().channel_errors):
        channel.exchange_declare("nowhere", passive=True)


def test_a_simple_queue_is_a_queue(connect: Connect) -> None:
    with connect().SimpleQueue("simple") as simple:
        simple.put({"n": 1})
        message = simple.get(timeout=5)
        assert message.payload == {"n": 1}
        message.ack()
        with pytest.raises(simple.Empty):
            simple.get(timeout=0.1)


def test_an_unbound_queue_hears_no_more(connect: Connect) -> None:
    connection = connect()
    exchange = Exchange("news", type="fanout")
    bound = Queue("reader", exchange)(connection.default_channel)
    bound.declare()
    bound.unbind_from(exchange)
    Producer(connect().default_channel, exchange).publish("hello", declare=[exchange])
    assert connection.default_channel._size("reader") == 0


def test_many_who_ask_at_once_do_not_lock_each_other_out(connect: Connect) -> None:
    """Flower asks eight questions at a time, each with a queue of its own for the answers."""

    def ask(number: int) -> None:
        for turn in range(15):
            with connect() as connection:
                answers = Queue(f"answers.{number}.{turn}", auto_delete=True, expires=10)
                assert nothing_arrives(connection, answers, seconds=0.01)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(ask, range(8)))
