"""Whoever works holds the lease, and stops when it no longer does."""

import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
from kombu import Connection, Queue

from app.broker import Delivery, Keeper
from app.settings import Settings
from tests.broker.sending import publish

Connect = Callable[..., Connection]
Rows = Callable[..., list[Any]]


def claimed(connection: Connection, queue: Queue) -> Delivery:
    """A lease on a new message."""
    publish(connection, "work", queue)
    return Delivery.of(connection.default_channel.claim("work", 1)[0]["properties"])


def test_long_work_keeps_its_lease(connect: Connect, queue: Queue, settings: Settings, rows: Rows) -> None:
    delivery = claimed(connect(lease_seconds=0.8), queue)
    keeper = Keeper(settings.database_url, lease_seconds=0.8)
    beating = connect().default_channel.connection.pump
    beating.consuming("other")
    with keeper.keeping(delivery, lambda: None) as kept:
        for _ in range(8):
            time.sleep(0.2)
            beating.beat()
    assert not kept.lost
    assert rows("SELECT state, deliveries FROM broker.messages") == [("leased", 1)]


def test_work_whose_message_was_taken_away_is_stopped(
    connect: Connect, queue: Queue, settings: Settings, rows: Rows
) -> None:
    delivery = claimed(connect(), queue)
    stopped = threading.Event()
    with Keeper(settings.database_url, lease_seconds=15).keeping(delivery, stopped.set) as kept:
        rows("DELETE FROM broker.messages")
        assert stopped.wait(5)
    assert kept.lost


def test_work_whose_lease_cannot_be_renewed_is_stopped_before_it_ends(
    connect: Connect, queue: Queue, settings: Settings, database: "psycopg.Connection[Any]"
) -> None:
    # Given a lease and a row that nobody can update
    delivery = claimed(connect(lease_seconds=3), queue)
    unreachable = settings.database_url.replace("host=", "host=/nowhere") or ""
    began, stopped = time.monotonic(), threading.Event()
    with Keeper(unreachable, lease_seconds=3).keeping(delivery, stopped.set):
        assert stopped.wait(5)
    # Then the work has stopped while the lease still held
    assert time.monotonic() - began < 3
    (left,) = database.execute("SELECT ready_at - now() > interval '0' FROM broker.messages").fetchone() or (None,)
    assert left is True
