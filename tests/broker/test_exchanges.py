"""Exchanges, queues and what binds them. They are in the database: each connection here stands for a process."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from amqp.exceptions import NotFound, PreconditionFailed
from kombu import Connection, Consumer, Exchange, Producer, Queue

from tests.broker.sending import publish, receive

Connect = Callable[..., Connection]
Rows = Callable[..., list[Any]]


def send(connection: Connection, body: str, exchange: str, routing_key: str = "") -> None:
    """Publish to an exchange that this connection has not declared."""
    channel = connection.default_channel
    message = channel.prepare_message(json.dumps(body), content_type="application/json", content_encoding="utf-8")
    channel.basic_publish(message, exchange, routing_key)


def sizes(connection: Connection, *queues: Queue) -> list[int]:
    """How many messages wait in each of these queues."""
    return [queue(connection.default_channel).queue_declare(passive=True).message_count for queue in queues]


def declared(connection: Connection, *queues: Queue) -> None:
    """Declare queues with their exchanges and bindings."""
    for queue in queues:
        queue(connection.default_channel).declare()


def test_the_default_exchange_reaches_the_queue_by_its_name(connect: Connect) -> None:
    connection, queue = connect(), Queue("by-name")
    declared(connection, queue)
    send(connect(), "hello", "", "by-name")
    assert receive(connection, queue)[0].payload == "hello"


def test_a_direct_exchange_reaches_the_queues_whose_key_is_the_same(connect: Connect) -> None:
    exchange, connection = Exchange("letters", type="direct"), connect()
    first, second = (Queue(name, exchange, routing_key=name) for name in ("first", "second"))
    declared(connection, first, second)
    send(connect(), "to the first", "letters", "first")
    send(connect(), "to nobody", "letters", "third")
    assert sizes(connection, first, second) == [1, 0]


@pytest.mark.parametrize(
    ("key", "reached", "missed"),
    [
        ("a.*", ["a.b", "a.c"], ["a", "a.b.c", "b.a"]),
        ("a.#", ["a", "a.b", "a.b.c"], ["ab", "b.a"]),
        ("#.c", ["c", "a.c", "a.b.c"], ["ac", "c.a"]),
        ("#.c.#", ["c", "a.c", "c.a", "a.b.c.d"], ["a", "ac"]),
        ("a.#.c", ["a.c", "a.b.c", "a.b.b.c"], ["ac", "a"]),
        ("#", ["a", "a.b"], []),
        ("a+(b.*", ["a+(b.c"], ["aab.c"]),
    ],
)
def test_a_topic_exchange_reaches_the_queues_whose_pattern_fits(
    connect: Connect, key: str, reached: list[str], missed: list[str]
) -> None:
    connection, queue = connect(), Queue("patterned", Exchange("topics", type="topic"), routing_key=key)
    declared(connection, queue)
    for sent in (*reached, *missed):
        send(connection, sent, "topics", sent)
    assert [message.payload for message in receive(connection, queue, count=len(reached))] == reached
    assert sizes(connection, queue) == [0]


def test_what_is_delayed_reaches_the_queues_of_a_fanout_when_its_time_comes(connect: Connect, rows: Rows) -> None:
    exchange, connection = Exchange("later", type="fanout"), connect(polling_interval=0.1)
    queue = Queue("hears-later", exchange)
    declared(connection, queue)
    with connection.Producer() as producer:
        eta = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
        producer.publish("soon", exchange=exchange, headers={"eta": eta})
    assert rows("SELECT state FROM broker.messages") == [("delayed",)]
    began = time.monotonic()
    assert receive(connection, queue)[0].payload == "soon"
    assert time.monotonic() - began > 0.8


def test_a_fanout_reaches_every_bound_queue_of_every_process(connect: Connect) -> None:
    exchange = Exchange("news", type="fanout")
    readers = [connect(), connect()]
    queues = [Queue(f"reader-{number}", exchange) for number in range(2)]
    for reader, queue in zip(readers, queues, strict=True):
        declared(reader, queue)
    send(connect(), "hello", "news", "whatever")
    assert [receive(*pair)[0].payload for pair in zip(readers, queues, strict=True)] == ["hello", "hello"]


def test_a_topic_reaches_the_queues_whose_pattern_fits(connect: Connect) -> None:
    exchange, connection = Exchange("events", type="topic"), connect()
    queues = [Queue(key, exchange, routing_key=key) for key in ("task.#", "*.sent", "worker.*", "task")]
    declared(connection, *queues)
    send(connect(), "hello", "events", "task.sent")
    assert sizes(connection, *queues) == [1, 1, 0, 0]


def test_a_queue_with_several_bindings_gets_a_message_once(connect: Connect) -> None:
    exchange, connection = Exchange("events", type="topic"), connect()
    queue = Queue("both", exchange, routing_key="task.*")
    declared(connection, queue)
    queue(connection.default_channel).bind_to(exchange, routing_key="*.sent")
    for key in ("task.sent", "task.done", "mail.sent", "mail.lost"):
        send(connect(), key, "events", key)
    assert [message.payload for message in receive(connection, queue, 3)] == ["task.sent", "task.done", "mail.sent"]


def test_what_is_published_where_nothing_is_bound_is_dropped(connect: Connect, rows: Rows) -> None:
    exchange = Exchange("void", type="topic")
    Producer(connect().default_channel, exchange).publish("hello", routing_key="t.1")
    assert rows("SELECT FROM broker.messages") == []


def test_an_unbound_queue_hears_no_more(connect: Connect) -> None:
    exchange, connection, other = Exchange("news", type="fanout"), connect(), connect()
    queue = Queue("reader", exchange)
    declared(connection, queue)
    queue(other.default_channel).unbind_from(exchange)
    send(connect(), "hello", "news")
    assert sizes(connection, queue) == [0]
    # And it hears again what another process binds anew.
    declared(connection, queue)
    send(connect(), "hello", "news")
    assert sizes(connection, queue) == [1]


def test_a_deleted_exchange_leaves_its_queues(connect: Connect, rows: Rows) -> None:
    exchange, connection, other = Exchange("news"), connect(), connect()
    queue = Queue("reader", exchange, routing_key="key")
    declared(connection, queue)
    send(connection, "kept", "news", "key")
    exchange(other.default_channel).delete(if_unused=True)
    assert rows("SELECT exchange FROM broker.bindings") == [("news",)]
    exchange(other.default_channel).delete()
    assert rows("SELECT FROM broker.bindings") == rows("SELECT FROM broker.exchanges WHERE name = 'news'") == []
    assert sizes(connection, queue) == [1]
    with pytest.raises(NotFound):
        send(connect(), "lost", "news", "key")


def test_an_exchange_keeps_its_type(connect: Connect) -> None:
    declared(connect(), Queue("reader", Exchange("news", type="fanout")))
    with pytest.raises(PreconditionFailed):
        Exchange("news", type="topic")(connect().default_channel).declare()
    with pytest.raises(PreconditionFailed, match="headers"):
        Exchange("by-header", type="headers")(connect().default_channel).declare()


def test_what_is_missing_is_an_error_of_the_channel(connect: Connect) -> None:
    connection = connect()
    channel = connection.default_channel
    assert issubclass(NotFound, connection.channel_errors)
    assert issubclass(PreconditionFailed, connection.channel_errors)
    with pytest.raises(NotFound):
        channel.queue_declare("nowhere", passive=True)
    with pytest.raises(NotFound):
        channel.exchange_declare("nowhere", passive=True)
    with pytest.raises(NotFound):
        send(connection, "lost", "nowhere")
    with pytest.raises(NotFound):
        channel.queue_bind("nowhere", "amq.direct", "key")
    # And the channel is as good as before.
    send(connection, "fine", "amq.direct", "key")


def test_the_passive_sees_what_others_declared_and_changes_nothing(connect: Connect, rows: Rows) -> None:
    exchange = Exchange("news", type="fanout")
    declared(connect(), Queue("hasty", exchange, expires=60, message_ttl=5, auto_delete=True))
    before = rows("SELECT message_ttl, expires, auto_delete FROM broker.queues")
    channel = connect().default_channel
    channel.exchange_declare("news", passive=True)
    channel.queue_declare("hasty", passive=True)
    assert rows("SELECT message_ttl, expires, auto_delete FROM broker.queues") == before


def test_a_queue_that_another_process_deleted_is_declared_anew(connect: Connect, rows: Rows) -> None:
    connection, queue = connect(), Queue("reader", Exchange("news"), routing_key="key")
    declared(connection, queue)
    queue(connect().default_channel).delete()
    declared(connection, queue)
    assert rows("SELECT name, exchange FROM broker.queues JOIN broker.bindings ON queue = name") == [("reader", "news")]


def test_a_queue_is_measured_purged_and_deleted(connect: Connect, queue: Queue, rows: Rows) -> None:
    connection, other = connect(), connect()
    bound = queue(connection.default_channel)
    publish(connection, 1, queue)
    publish(connection, 2, queue)
    assert tuple(bound.queue_declare()) == ("work", 2, 0)
    with Consumer(other.default_channel, [queue]):
        assert tuple(bound.queue_declare()) == ("work", 2, 1)
        bound.delete(if_unused=True)
    bound.delete(if_empty=True)
    assert sizes(connection, queue) == [2]
    assert bound.purge() == 2
    bound.delete(if_unused=True, if_empty=True)
    assert rows("SELECT FROM broker.queues") == []


def test_a_queue_without_a_name_gets_one(connect: Connect, rows: Rows) -> None:
    name = connect().default_channel.queue_declare("").queue
    assert rows("SELECT name FROM broker.queues") == [(name,)]


def test_a_manager_lists_every_binding(connect: Connect) -> None:
    declared(connect(), Queue("reader", Exchange("news"), routing_key="key"))
    connection = connect()
    bindings = connection.get_manager().get_bindings()
    assert bindings == [{"destination": "reader", "source": "news", "routing_key": "key"}]
    assert "news" in connection.default_channel.get_exchanges()
