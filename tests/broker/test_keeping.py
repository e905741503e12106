"""Whoever works holds the lease, and stops when it no longer does."""

import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import psycopg
from kombu import Connection, Queue

from app.broker import Delivery, Keeper
from app.broker.keeping import RENEWAL_SECONDS
from app.settings import Settings
from tests.broker.sending import publish

Connect = Callable[..., Connection]
Rows = Callable[..., list[Any]]


def claimed(connection: Connection, queue: Queue) -> Delivery:
    """A lease on a new message."""
    publish(connection, "work", queue)
    return Delivery.of(connection.default_channel.claim("work", 1)[0]["properties"])


def test_long_work_keeps_its_lease(connect: Connect, queue: Queue, settings: Settings, rows: Rows) -> None:
    delivery = claimed(connect(lease_seconds=1.5), queue)
    keeper = Keeper(settings.database_url, lease_seconds=1.5)
    beating = connect().default_channel.connection.pump
    beating.consuming("other")
    with keeper.keeping(delivery, lambda: None) as kept:
        for _ in range(12):
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


def test_a_server_that_stands_still_stops_the_work_in_time_and_holds_nobody_up(
    connect: Connect, queue: Queue, settings: Settings, rows: Rows
) -> None:
    # Given work whose lease has been renewed over a connection
    delivery = claimed(connect(lease_seconds=3), queue)
    began, stopped = time.monotonic(), threading.Event()
    with Keeper(settings.database_url, lease_seconds=3).keeping(delivery, stopped.set) as kept:
        asked = "SELECT pid FROM pg_stat_activity WHERE application_name = 'kiln lease keeper' AND datname = %s"
        while not (found := rows(asked, urlsplit(settings.database_url).path.strip("/"))):
            time.sleep(0.05)
        # When the server's side of it says nothing more
        os.kill(found[0][0], signal.SIGSTOP)
        try:
            assert stopped.wait(10)
            waited = time.monotonic() - began
        finally:
            os.kill(found[0][0], signal.SIGCONT)
    # Then the work was stopped before its lease ended, and its end waited for nobody
    assert kept.lost
    assert waited < 3 + 3 * RENEWAL_SECONDS


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
