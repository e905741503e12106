"""What is done to a queue while it works, or to the PostgreSQL beneath it: each takes as many seconds as it is told."""

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import psycopg

from app.local.postgres import EmbeddedPostgres
from bench.broker.offering import Offering
from bench.broker.processes import Worker, until

#: Two tasks at a time, each as long as this, are all that the worker can do.
TASK_SECONDS = 0.01
CAPACITY = 2 / TASK_SECONDS

#: Seconds between two ended connections, and between two scans of each reader, as hardbyte has them.
BACKENDS_EVERY, SCANS_EVERY, READERS = 0.5, 0.1, 4

#: Seconds between two kills; there 20, in a phase of two minutes.
KILLS_EVERY = 5.0

_SOME_BACKEND = """
SELECT pg_terminate_backend(pid) FROM (
    SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1
) AS chosen
"""


class Scene:
    """A database of its own, its worker, and who offers it tasks."""

    def __init__(self, server: EmbeddedPostgres, url: str, home: Path, offering: Offering) -> None:
        self.server, self.url, self.offering = server, url, offering
        self._home = home
        self.start_worker()

    def start_worker(self) -> None:
        """Start a worker; returns when it is ready."""
        (self._home / "ready").unlink(missing_ok=True)
        self.worker = Worker(self.url, self._home)
        self.worker.await_ready()


Harm = Callable[[Scene, float], None]


def nothing(_scene: Scene, seconds: float) -> None:
    """For comparison."""
    time.sleep(seconds)


def server_away(scene: Scene, seconds: float) -> None:
    """PostgreSQL is stopped as by `pg_ctl stop --mode immediate`, and started again at the end; it has to recover."""
    assert scene.server.pid is not None
    os.kill(scene.server.pid, signal.SIGQUIT)
    until(scene.server.poll)
    time.sleep(seconds)
    scene.server.start()


def backends_killed(scene: Scene, seconds: float) -> None:
    """Twice a second somebody's connection is ended, whether it is used or not: the producer's, the worker's."""
    with psycopg.connect(scene.url, autocommit=True) as connection:
        for _ in range(int(seconds / BACKENDS_EVERY)):
            connection.execute(_SOME_BACKEND)
            time.sleep(BACKENDS_EVERY)


def slots_taken(scene: Scene, seconds: float) -> None:
    """Others take every connection that PostgreSQL has left, and every one that becomes free."""
    deadline = time.monotonic() + seconds
    with ExitStack() as held:
        while time.monotonic() < deadline:
            with suppress(psycopg.OperationalError):
                held.enter_context(psycopg.connect(scene.url, autocommit=True))
                continue
            time.sleep(SCANS_EVERY)


def worker_killed(scene: Scene, seconds: float) -> None:
    """`kill -9` of the worker with its children, and another one at the end."""
    scene.worker.kill()
    time.sleep(seconds)
    scene.start_worker()


def workers_killed(scene: Scene, seconds: float) -> None:
    """The same again and again, each time with another one a second later."""
    deadline = time.monotonic() + seconds
    while time.monotonic() + KILLS_EVERY <= deadline:
        began = time.monotonic()
        worker_killed(scene, 1)
        time.sleep(max(0.0, began + KILLS_EVERY - time.monotonic()))


def idle_in_transaction(scene: Scene, seconds: float) -> None:
    """Somebody begins a transaction, is given an id for it, and does nothing more: no dead row can be removed."""
    with psycopg.connect(scene.url) as connection:
        connection.execute("SELECT txid_current()")
        time.sleep(seconds)


def active_readers(scene: Scene, seconds: float) -> None:
    """Four transactions read the whole queue over and over, each with the snapshot of its first look."""
    deadline = time.monotonic() + seconds

    def read() -> None:
        with psycopg.connect(scene.url) as connection:
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            while time.monotonic() < deadline:
                connection.execute("SELECT count(*) FROM broker.messages")
                time.sleep(SCANS_EVERY)

    readers = [threading.Thread(target=read) for _ in range(READERS)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()


def high_load(scene: Scene, seconds: float) -> None:
    """Half as much again is offered as can be done."""
    _offered(scene, 1.5 * CAPACITY, seconds)


def burst(scene: Scene, seconds: float) -> None:
    """Three times as much is offered as can be done."""
    _offered(scene, 3 * CAPACITY, seconds)


def _offered(scene: Scene, rate: float, seconds: float) -> None:
    usual, scene.offering.rate = scene.offering.rate, rate
    time.sleep(seconds)
    scene.offering.rate = usual
