"""Celery's events: written once, kept, read by everybody from their own place."""

import json
import time
from collections.abc import Callable
from itertools import groupby
from typing import Any

import pytest
from celery import Celery
from celery.events import EventDispatcher, EventReceiver
from kombu import Connection, Consumer, Message

from app.broker.events import EventWriter
from app.settings import Settings

Connect = Callable[..., Connection]
Rows = Callable[..., list[Any]]


@pytest.fixture
def celery(settings: Settings) -> Celery:
    """A Celery application without workers."""
    return Celery("events", broker=settings.database_url, set_as_current=False)


def capture(celery: Celery, connection: Connection, count: int, then: Callable[[], None]) -> list[dict[str, Any]]:
    """What a receiver hears of what happens after it listens."""
    got: list[dict[str, Any]] = []
    receiver = EventReceiver(connection, handlers={"*": got.append}, app=celery)
    with receiver.consumer_context(wakeup=False) as (listening, _channel, _consumers):
        then()
        deadline = time.monotonic() + 10
        while len(got) < count and time.monotonic() < deadline:
            try:
                listening.drain_events(timeout=0.5)
            except TimeoutError:
                continue
    return got


def test_every_receiver_hears_every_event_in_order(celery: Celery, connect: Connect) -> None:
    sender = connect()

    def happen() -> None:
        with EventDispatcher(sender, hostname="w@h", app=celery) as dispatcher:
            for number in range(5):
                dispatcher.send("task-custom", uuid=str(number))

    first: list[dict[str, Any]] = []
    second = capture(celery, connect(), 5, lambda: first.extend(capture(celery, connect(), 5, happen)))
    assert [event["uuid"] for event in first] == [event["uuid"] for event in second] == list("01234")


def test_grouped_events_are_kept_one_by_one(celery: Celery, connect: Connect, rows: Rows) -> None:
    sender = connect()
    with EventDispatcher(sender, hostname="w@h", app=celery, buffer_group=["task"], buffer_limit=100) as dispatcher:
        for number in range(3):
            dispatcher.send("task-received", uuid=f"t{number}")
        dispatcher.send("worker-online")
        dispatcher.flush()
    sender.release()
    kept = rows("SELECT type, worker, task_id FROM broker.events ORDER BY type, task_id")
    assert kept == [("task-received", "w@h", f"t{number}") for number in range(3)] + [("worker-online", "w@h", None)]


def test_a_workers_event_comes_by_itself_and_tasks_events_together(celery: Celery, connect: Connect) -> None:
    """Gossiping workers take no other."""
    sender, connection = connect(), connect()
    receiver = EventReceiver(connection, app=celery)
    got: list[Message] = []
    with Consumer(connection.channel(), [receiver.queue], on_message=got.append, no_ack=True):
        with EventDispatcher(sender, hostname="w@h", app=celery) as dispatcher:
            for kind in ("worker-online", "task-received", "task-started", "worker-heartbeat"):
                dispatcher.send(kind, uuid="1")
        sender.release()
        while not got or got[-1].delivery_info["routing_key"] != "worker.heartbeat":
            connection.drain_events(timeout=5)
    shapes = groupby((message.delivery_info["routing_key"], type(message.payload)) for message in got)
    assert [shape for shape, _ in shapes] == [("worker.online", dict), ("task.multi", list), ("worker.heartbeat", dict)]


def test_what_a_receiver_leaves_behind_is_nothing(celery: Celery, connect: Connect, rows: Rows) -> None:
    capture(celery, connect(), 0, lambda: None)
    assert rows("SELECT FROM broker.queues") == rows("SELECT FROM broker.bindings") == []


def test_an_event_committed_late_is_read_all_the_same(celery: Celery, connect: Connect, database: Any) -> None:
    sender = connect()

    def happen() -> None:
        database.execute("INSERT INTO broker.events (type, event) VALUES ('task-late', '{\"type\": \"task-late\"}')")
        with EventDispatcher(sender, hostname="w@h", app=celery) as dispatcher:
            dispatcher.send("task-early")
        time.sleep(0.2)
        database.commit()

    assert {event["type"] for event in capture(celery, connect(polling_interval=0.1), 2, happen)} == {
        "task-early",
        "task-late",
    }


@pytest.mark.parametrize("text", ["a\0b", "a\ud800b"], ids=ascii)
def test_an_event_with_a_text_that_cannot_be_shown_is_kept(
    celery: Celery, connect: Connect, rows: Rows, text: str
) -> None:
    with connect() as sender, EventDispatcher(sender, hostname="w@h", app=celery) as dispatcher:
        dispatcher.send("task-failed", uuid="1", exception=text)
        dispatcher.send("task-succeeded", uuid="2")
    kept = rows("SELECT type, task_id, event ->> 'exception' FROM broker.events ORDER BY id")
    assert kept == [("task-failed", "1", "a\ufffdb"), ("task-succeeded", "2", None)]


def test_an_event_that_cannot_be_kept_is_dropped_alone(
    celery: Celery, connect: Connect, rows: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    # Given events that are no JSON or have no type, or whose id is too long for an index, within groups and beside them
    dropped: list[dict[str, Any]] = [
        {"runtime": float("nan")},
        {"type": None},
        {"uuid": "".join(map(str, range(100_000)))},
    ]
    with connect() as sender:
        channel = sender.default_channel
        for number, strange in enumerate(dropped):
            events = [{"type": "task-received", "uuid": f"{number}.{place}"} for place in range(3)]
            events[1] |= strange
            channel.basic_publish(
                channel.prepare_message(json.dumps(events), content_type="application/json"), "celeryev", ""
            )
        for body in ("}{", "[]", json.dumps({"type": "task-received", "uuid": "alone"})):
            channel.basic_publish(channel.prepare_message(body, content_type="application/json"), "celeryev", "")
    # Then all others are kept, and what was dropped is told
    kept = [task for (task,) in rows("SELECT task_id FROM broker.events ORDER BY id")]
    assert kept == ["0.0", "0.2", "1.0", "1.2", "2.0", "2.2", "alone"]
    assert [record.message for record in caplog.records] == ["event.dropped"] * 4


def test_many_events_at_once_are_many_batches(settings: Settings, rows: Rows) -> None:
    writer = EventWriter(settings.database_url, "celeryev")
    event = '{"type": "task-received", "hostname": "w@h"}'
    for _ in range(70):
        writer.append(f"[{','.join([event] * 1000)}]")
    deadline = time.monotonic() + 20
    while rows("SELECT count(*) FROM broker.events") != [(70_000,)] and time.monotonic() < deadline:
        time.sleep(0.1)
    writer.close()
    assert rows("SELECT count(*), count(DISTINCT id) FROM broker.events") == [(70_000, 70_000)]
    assert rows("SELECT max(count) FROM (SELECT count(*) FROM broker.events GROUP BY id >> 16) AS batch") == [(1000,)]


def test_old_days_are_dropped_whole(rows: Rows) -> None:
    rows("SELECT broker.create_events_partition('2020-01-01')")
    rows("INSERT INTO broker.events (kept_at, type, event) VALUES ('2020-01-01T12:00Z', 'old', '{}')")
    rows("INSERT INTO broker.events (type, event) VALUES ('new', '{}')")
    assert rows("SELECT broker.drop_events_before((now() AT TIME ZONE 'UTC')::date - 7)") == [(1,)]
    assert rows("SELECT type FROM broker.events") == [("new",)]
