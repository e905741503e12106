"""What happens to machines: processes are killed and stopped, backends end."""

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import psutil
import psycopg

from app.local.postgres import EmbeddedPostgres
from tests.chaos.fleet import Node


class Nemesis:
    """Does one thing again and again beside the test, `most` times at most, and counts how often."""

    def __init__(self, act: Callable[[], object], *, every_seconds: float, most: int | None = None) -> None:
        self.acts = 0
        self._most = most
        self._act, self._every = act, every_seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="nemesis", daemon=True)
        self._failed: Exception | None = None

    def _run(self) -> None:
        while self.acts != self._most and not self._stop.wait(self._every):
            try:
                self._act()
            except Exception as error:  # noqa: BLE001 - raised again where the test waits for it
                self._failed = error
                return
            self.acts += 1

    def __enter__(self) -> "Nemesis":
        self._thread.start()
        return self

    def __exit__(self, *_raised: object) -> None:
        self._stop.set()
        self._thread.join()
        if self._failed is not None:
            raise self._failed


def killing(nodes: list[Node]) -> Callable[[], object]:
    """`kill -9` of a random worker with its children."""
    return lambda: random.choice(nodes).kill()


def tree(node: Node) -> list[psutil.Process]:
    """A worker and its children."""
    return [node.process, *node.children]


@contextmanager
def stopped(node: Node) -> Iterator[None]:
    """Stop a whole worker by SIGSTOP, and let it go on at the end: it has noticed nothing."""
    processes = tree(node)
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            if process.is_running():
                process.resume()


def stopping(nodes: list[Node], *, seconds: float) -> Callable[[], object]:
    """Stop a random worker for so long."""

    def act() -> None:
        with stopped(random.choice(nodes)):
            time.sleep(seconds)

    return act


def kill_server(server: EmbeddedPostgres) -> None:
    """`kill -9` of the postmaster and all backends; its kernel lives, so what was written stays."""
    assert server.pid is not None
    postmaster = psutil.Process(server.pid)
    for process in [postmaster, *postmaster.children()]:
        process.kill()


def kill_a_backend(url: str) -> None:
    """`kill -9` of one random connection's process, on which PostgreSQL ends all the others and begins anew."""
    statement = """
    SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1
    """
    with suppress(psycopg.OperationalError), psycopg.connect(url, autocommit=True) as connection:
        for (pid,) in connection.execute(statement):
            os.kill(pid, signal.SIGKILL)


_CROWD = "chaos crowd"


@contextmanager
def slots_taken(url: str) -> Iterator[None]:
    """Hold every connection that the server has, having ended all the others: nobody gets one while the block runs."""
    with ExitStack() as held:
        first = held.enter_context(psycopg.connect(url, autocommit=True, application_name=_CROWD))
        while _take_the_rest(url, held) or _end_others(first):
            pass
        yield


def _take_the_rest(url: str, held: ExitStack) -> int:
    """Connect until that is refused; answers how often it was not."""
    taken = 0
    with suppress(psycopg.OperationalError):
        while True:
            held.enter_context(psycopg.connect(url, autocommit=True, application_name=_CROWD))
            taken += 1
    return taken


def _end_others(connection: "psycopg.Connection[Any]") -> int:
    """End what is not of the crowd; answers how many. PostgreSQL's own processes are not its role's."""
    statement = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE usename = current_user AND application_name <> %s
    """
    row = connection.execute(statement, [_CROWD]).fetchone()
    return int(row[0]) if row else 0


def terminate_backends(url: str, *, like: str) -> int:
    """`pg_terminate_backend` of every connection whose application name is like this; answers how many."""
    statement = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name LIKE %s AND pid <> pg_backend_pid()
    """
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(statement, [like]).fetchone()
    return int(row[0]) if row else 0
