"""What PostgreSQL cannot show, kombu cannot decode or a hook cannot bear: nothing of it stops anybody else."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from kombu import Connection, Queue

from app.broker import publishing_in
from app.executions import queries as executions
from app.functions import queries as functions
from tests.broker.sending import publish, receive

Connect = Callable[..., Connection]
Rows = Callable[..., list[Any]]

#: A NUL, halves of surrogate pairs, and what only looks like them.
STRANGE = ["a\0b", "\ud800", "x\udc00\udc00", "\\u0000", "\\\0", "\\\\ud800"]

ENVELOPE = (
    '{"body": %s, "content-type": "application/json", "content-encoding": "utf-8", "headers": {"h": %s}, '
    '"properties": {"body_encoding": %s, "delivery_info": {"exchange": "", "routing_key": "work"}}}'
)

INSERT = "INSERT INTO broker.messages (queue, payload) VALUES ('work', %s)"

#: Kiln's own hooks.
HOOKS = {"on_dead": [executions.LOST, *functions.ON_DEAD]}


@pytest.mark.parametrize("text", STRANGE, ids=ascii)
def test_a_text_that_postgresql_cannot_show_is_received_as_it_was_sent(
    connect: Connect, queue: Queue, rows: Rows, text: str
) -> None:
    publish(connect(), {"k": text}, queue, headers={"argsrepr": text, "task": "known"})
    shown = rows("SELECT broker.readable(payload) #>> '{headers,task}' FROM broker.messages")
    (message,) = receive(connect(), queue)
    assert (message.payload, message.headers["argsrepr"]) == ({"k": text}, text)
    assert shown == rows("SELECT task FROM broker.in_flight") == [("known",)]


@pytest.mark.parametrize("text", ["plain", "a\0b", "\U0001f600", "\ud83d", "é\\ud800", "\\\0\\", "\ud800\ud800\udc00"])
def test_what_cannot_be_shown_is_shown_as_the_replacement_character(
    connect: Connect, queue: Queue, rows: Rows, text: str
) -> None:
    publish(connect(), 1, queue, headers={"h": text})
    # Halves that stand beside each other are a character.
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", "\ufffd")
    assert rows("SELECT broker.readable(payload) #>> '{headers,h}' FROM broker.messages") == [(whole,)]


@pytest.mark.parametrize("name", ["a\0b", "\ud800"], ids=ascii)
def test_a_name_that_is_no_text_is_refused(connect: Connect, database: Any, name: str) -> None:
    connection = connect()
    channel = connection.default_channel
    message = channel.prepare_message("hello")
    attempts: list[Callable[[], object]] = [
        lambda: channel.basic_publish(message, "", name),
        lambda: channel.basic_publish(message, name, "key"),
        lambda: channel.queue_declare(name),
    ]
    for attempt in attempts:
        with pytest.raises(connection.channel_errors, match=r"NUL|surrogate"):
            attempt()
    with publishing_in(database), pytest.raises(connection.channel_errors):
        channel.basic_publish(message, "", name)


@pytest.mark.parametrize(
    "payload", [r'{"h": "\u0000"}', r'{"h": "\ud800"}', '{"n": %s}' % ("9" * 5000), "[" * 1500 + "]" * 1500]
)
def test_what_is_no_message_is_set_aside_by_whoever_claims_it(
    connect: Connect, queue: Queue, rows: Rows, payload: str
) -> None:
    # Given a consumer that asks for one message at a time, and sleeps long when it gets none
    connection = connect(**HOOKS, polling_interval=30)
    queue(connection.default_channel).declare()
    rows(INSERT, payload)
    publish(connection, "fine", queue)
    # Then the next one comes at once, and people can read of both
    began = time.monotonic()
    assert [message.payload for message in receive(connection, queue)] == ["fine"]
    assert time.monotonic() - began < 5
    assert rows("SELECT reason, payload::text FROM broker.dead WHERE true OR task = ''") == [("undecodable", payload)]


def test_what_cannot_be_shown_dies_like_everything_else(
    connect: Connect, queue: Queue, rows: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    options = HOOKS | {"loss_limit": 1, "lease_seconds": 0.05}
    publish(connect(), 1, queue, headers={"h": "a\0b\ud800"})
    assert len(connect(**options).default_channel.claim("work", 1)) == 1
    time.sleep(0.1)
    pump = connect(**options).default_channel.connection.pump
    pump.consuming("other")
    pump.beat()
    assert rows("SELECT reason FROM broker.dead") == [("worker_lost",)]
    assert caplog.records == []


@pytest.mark.parametrize("encoding", ["5", "[1]", '"rot13"', '"base64"'])
@pytest.mark.parametrize("by_hand", [True, False])
def test_a_body_that_cannot_be_decoded_is_set_aside(
    connect: Connect, queue: Queue, rows: Rows, encoding: str, by_hand: bool
) -> None:
    connection = connect(polling_interval=30)
    bound = queue(connection.default_channel)
    bound.declare()
    payload = ENVELOPE % ('"abc"', "1", encoding)
    rows(INSERT, payload)
    publish(connection, "fine", queue)
    message = bound.get() if by_hand else receive(connection, queue)[0]
    assert message.payload == "fine"
    assert rows("SELECT reason, payload::text FROM broker.dead") == [("undecodable", payload)]
    assert rows("SELECT count(*) FROM broker.messages WHERE state = 'leased'") == [(1,)]


def test_a_body_that_cannot_be_decoded_goes_where_nobody_acknowledges(
    connect: Connect, queue: Queue, rows: Rows
) -> None:
    connection = connect()
    bound = queue(connection.default_channel)
    bound.declare()
    rows(INSERT, ENVELOPE % ('"abc"', "1", "5"))
    publish(connection, "fine", queue)
    assert bound.get(no_ack=True).payload == "fine"
    assert rows("SELECT FROM broker.messages") == []


#: Fails for one of the messages, which has priority 5.
HOOK = "INSERT INTO obituaries SELECT id, 1 / (priority - 5) FROM buried"


@pytest.fixture
def three(connect: Connect, queue: Queue, rows: Rows) -> Connect:
    """Three messages, of which the hook does not bear the second."""
    rows("CREATE TABLE obituaries (id bigint, result integer)")
    for priority in (6, 5, 4):
        publish(connect(), priority, queue, priority=priority)
    return connect


def test_who_beats_goes_on_where_a_hook_fails(three: Connect, rows: Rows, caplog: pytest.LogCaptureFixture) -> None:
    # Given three messages whose last holder has died, and one that is due
    options = {"on_dead": [HOOK], "loss_limit": 1, "lease_seconds": 0.05}
    assert len(three(**options).default_channel.claim("work", 3)) == 3
    rows("INSERT INTO broker.messages (queue, state, payload) VALUES ('work', 'delayed', '{}')")
    time.sleep(0.1)
    # When somebody beats
    pump = three(**options).default_channel.connection.pump
    pump.consuming("other")
    pump.beat()
    # Then all have moved, and the hook ran for those that it bears
    assert rows("SELECT reason, losses, count(*) FROM broker.dead GROUP BY 1, 2") == [("worker_lost", 1, 3)]
    assert rows("SELECT state FROM broker.messages WHERE state <> 'dead'") == [("ready",)]
    assert rows("SELECT count(*) FROM obituaries") == [(2,)]
    assert [record.message for record in caplog.records] == ["message.hook_failed"]
    # And who beats lives
    assert rows("SELECT count(*) FROM broker.consumers") == [(1,)]


@pytest.mark.parametrize("again", [True, False])
def test_who_gives_back_or_sets_aside_goes_on_where_a_hook_fails(three: Connect, rows: Rows, again: bool) -> None:
    messages = receive(three(on_dead=[HOOK], requeue_limit=1), Queue("work", routing_key="work"), 3)
    for message in messages:
        message.reject(requeue=again)
    reason = "requeued" if again else "rejected"
    assert rows("SELECT reason, count(*) FROM broker.dead GROUP BY 1") == [(reason, 3)]
    assert rows("SELECT count(*) FROM obituaries") == [(2,)]


def test_an_error_that_is_no_hooks_is_an_error(three: Connect, rows: Rows) -> None:
    connection = three(on_dead=[HOOK])
    (message, *_) = receive(connection, Queue("work", routing_key="work"), 3)
    rows("ALTER TABLE broker.messages ADD CONSTRAINT alive CHECK (state <> 'dead')")
    with pytest.raises(connection.channel_errors, match="alive"):
        message.reject()
