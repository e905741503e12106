"""Any Celery application can use the transport: plain settings, real workers of every pool."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from celery import Celery, chain, chord, group

from app.broker import publishing_in
from app.settings import Settings
from tests.acceptance.processes import ROOT, LocalProcess
from tests.broker import plain
from tests.patience import until

Rows = Callable[..., list[Any]]
Start = Callable[..., LocalProcess]

PAGE = ROOT / "docs" / "broker.md"


@pytest.fixture
def celery(settings: Settings, rows: Rows) -> Iterator[Celery]:
    """The application, and a table for what its tasks write."""
    rows("CREATE TABLE journal (line text, at timestamptz DEFAULT clock_timestamp())")
    with plain.client(settings.database_url) as app:
        yield app


@pytest.fixture
def start(settings: Settings, celery: Celery, tmp_path: Path) -> Iterator[Start]:
    """Starts a worker."""
    started: list[LocalProcess] = []

    def worker(pool: str, *options: str, results: str = "rpc://") -> LocalProcess:
        argv = ["celery", "-A", "tests.broker.plain", "worker", "--pool", pool, "--concurrency", "2", *options]
        argv += ["--hostname", f"{pool}@h", "--loglevel", "info"]
        environment = {"PLAIN_BROKER_URL": settings.database_url, "PLAIN_RESULTS": results}
        started.append(LocalProcess(pool, argv, environment=environment, log=tmp_path / f"{pool}.log", needle="ready."))
        started[-1].ready()
        return started[-1]

    yield worker
    for process in started:
        process.teardown()


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_tasks_answer_wait_and_retry_in_every_pool(celery: Celery, start: Start, rows: Rows, pool: str) -> None:
    # Given a worker, and a task that is to run in a moment
    start(pool)
    began, add = time.time(), celery.tasks["add"]
    later = add.apply_async((20, 22), countdown=1.5)
    retried = celery.tasks["second_time_lucky"].delay()
    # Then others run at once, alone, in groups and in chains
    assert add.delay(2, 3).get(timeout=10) == 5
    assert group(add.s(number, number) for number in range(5))().get(timeout=10) == [0, 2, 4, 6, 8]
    assert chain(add.s(1, 1), add.s(1))().get(timeout=10) == 3
    # And what is to wait waits in the database, not in the worker
    until(lambda: rows("SELECT count(*) FROM broker.messages WHERE state = 'delayed'") == [(2,)], seconds=1)
    assert celery.control.inspect(timeout=1).scheduled() == {f"{pool}@h": []}
    assert later.get(timeout=10) == 42
    assert time.time() - began > 1.5
    assert retried.get(timeout=10) == 1
    # And a rate limit holds
    starts = sorted(group(celery.tasks["unhurried"].s() for _ in range(6))().get(timeout=10))
    assert starts[-1] - starts[0] > 0.35
    # And nothing is left
    until(lambda: rows("SELECT FROM broker.messages") == [])


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_message_is_acknowledged_early_or_late(celery: Celery, start: Start, rows: Rows, pool: str) -> None:
    start(pool)
    celery.tasks["nap"].delay(1.5)
    until(lambda: rows("SELECT FROM journal") != [])
    until(lambda: rows("SELECT FROM broker.messages") == [], seconds=1)
    celery.tasks["work"].delay(1.5)
    until(lambda: len(rows("SELECT FROM journal")) == 2)
    time.sleep(1.2)
    assert rows("SELECT state, deliveries FROM broker.messages") == [("leased", 1)]
    until(lambda: rows("SELECT FROM broker.messages") == [])
    assert rows("SELECT line FROM journal ORDER BY at") == [("napped",), ("worked",)]


def test_a_worker_without_children_keeps_up_and_keeps_what_it_holds(celery: Celery, start: Start, rows: Rows) -> None:
    # Given a worker that can do nothing else while it works
    start("solo")
    # When short tasks come one after the other, then it does not sleep between them
    began = time.monotonic()
    for _ in range(50):
        celery.tasks["work"].delay(0.02)
    until(lambda: len(rows("SELECT FROM journal")) == 50)
    assert time.monotonic() - began < 5
    # When a task takes longer than a lease, then another worker does not get it
    until(lambda: rows("SELECT FROM broker.messages") == [])
    celery.tasks["work"].delay(3)
    until(lambda: len(rows("SELECT FROM journal")) == 51)
    start("threads")
    until(lambda: rows("SELECT FROM broker.messages") == [])
    assert len(rows("SELECT FROM journal")) == 51


def test_a_task_whose_child_is_lost_is_done_again(celery: Celery, start: Start, rows: Rows) -> None:
    worker = start("prefork")
    celery.tasks["work"].delay(2)
    until(lambda: rows("SELECT FROM journal") != [])
    for child in worker.children:
        child.kill()
    until(lambda: len(rows("SELECT FROM journal")) == 2)
    until(lambda: rows("SELECT FROM broker.messages") == [])


def test_a_worker_that_stood_still_is_steered_as_before(celery: Celery, start: Start, rows: Rows) -> None:
    # Given a worker that stands still while others tidy
    worker = start("prefork")
    worker.process.suspend()
    rows("UPDATE broker.consumers SET seen_at = seen_at - interval '30 minutes'")
    rows("UPDATE broker.queues SET used_at = used_at - interval '30 minutes'")
    with celery.connection() as tidying:
        pump = tidying.default_channel.connection.pump
        pump.consuming("other")
        pump.beat()
    # When it goes on, then it answers
    worker.process.resume()
    until(lambda: celery.control.inspect(timeout=1).ping() == {"prefork@h": {"ok": "pong"}})


def test_a_chord_ends_when_all_its_tasks_have(celery: Celery, settings: Settings, start: Start) -> None:
    results = "db+postgresql+psycopg" + settings.database_url.removeprefix("postgresql")
    start("threads", results=results)
    with plain.client(settings.database_url, results=results) as app:
        add, total = app.tasks["add"], app.tasks["total"]
        assert chord(add.s(number, number) for number in range(5))(total.s()).get(timeout=20) == 20


def test_tasks_are_sent_in_the_callers_transaction(
    celery: Celery, database: "psycopg.Connection[Any]", rows: Rows
) -> None:
    for end in (database.rollback, database.commit):
        with publishing_in(database):
            celery.tasks["add"].delay(1, 2)
            celery.tasks["add"].apply_async((3, 4), countdown=60)
        assert rows("SELECT FROM broker.messages") == []
        end()
    assert rows("SELECT state FROM broker.messages ORDER BY id") == [("ready",), ("delayed",)]


def test_a_task_settles_its_message_with_its_own_row(celery: Celery, start: Start, rows: Rows) -> None:
    worker = start("prefork")
    celery.tasks["settled"].delay()
    until(lambda: rows("SELECT FROM journal") != [])
    assert rows("SELECT FROM broker.messages") == []
    until(lambda: "succeeded" in worker.logs())


def test_the_page_shows_an_application_that_works(settings: Settings, tmp_path: Path, rows: Rows) -> None:
    # Given the page's application, and the tables that it speaks of
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "shop.py").write_text(code)
    rows("CREATE TABLE orders (id serial, packed boolean DEFAULT false)")
    environment = {"DATABASE_URL": settings.database_url, "PYTHONPATH": str(tmp_path)}
    # When orders are placed, one of which is not to be
    place = "import sys, psycopg, shop; c = psycopg.connect(sys.argv[1]); shop.place_order(c); c.rollback();"
    place += " shop.place_order(c); c.commit(); c.close()"
    subprocess.run(
        [sys.executable, "-c", place, settings.database_url], cwd=ROOT, env=os.environ | environment, check=True
    )
    assert rows("SELECT id, packed FROM orders") == [(2, False)]
    assert rows("SELECT state FROM broker.messages") == [("ready",)]
    # Then a worker packs it, and message and order change together
    argv = ["celery", "-A", "shop", "worker", "--pool", "threads", "--loglevel", "info"]
    worker = LocalProcess("shop", argv, environment=environment, log=tmp_path / "shop.log", needle="ready.")
    until(lambda: rows("SELECT packed FROM orders") == [(True,)])
    assert rows("SELECT FROM broker.messages") == []
    worker.teardown()
