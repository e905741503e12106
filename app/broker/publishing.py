"""Publishing inside the caller's transaction, and waking consumers after it."""

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import psycopg

from app.broker.link import Link

log = logging.getLogger(__name__)

_connection: ContextVar["psycopg.Connection[Any] | None"] = ContextVar("publishing_in", default=None)

#: The least time between two wake-ups of one process. A NOTIFY takes a lock on the whole database when it commits, so a
#: burst of
#: messages is announced once: 20,000 inserts a second fall to 5,000 where each announces itself.
WAKE_INTERVAL_SECONDS = 0.002


@contextmanager
def publishing_in(connection: "psycopg.Connection[Any]") -> Iterator[None]:
    """Messages published in this block (also by `task.apply_async(retry=False)`) are written through `connection`.

    They exist if and only if the caller's transaction commits. The caller wakes the consumers afterwards, by a `Waker`.
    """
    token = _connection.set(connection)
    try:
        yield
    finally:
        _connection.reset(token)


def current_connection() -> "psycopg.Connection[Any] | None":
    """The connection of the `publishing_in` block around the caller, if there is one."""
    return _connection.get()


class Waker:
    """A thread with one connection that notifies queues, many at once when many are asked for. A lost wake-up costs a
    poll, never a message.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._queues: set[str] = set()
        self._asked = threading.Event()
        self._lock = threading.Lock()
        self._pid = 0
        self._thread: threading.Thread | None = None
        self._closed = False

    def close(self) -> None:
        """End the thread."""
        self._closed = True
        self._asked.set()
        if self._thread is not None and self._pid == os.getpid():
            self._thread.join(timeout=5)

    def wake(self, queue: str) -> None:
        """Wake the consumers of `queue` soon; returns at once. Call it after the commit."""
        with self._lock:
            self._queues.add(queue)
            if self._pid != os.getpid():
                self._pid = os.getpid()
                self._asked = threading.Event()
                self._thread = threading.Thread(target=self._run, name="broker-waker", daemon=True)
                self._thread.start()
        self._asked.set()

    def _run(self) -> None:
        link: Link | None = None
        while not self._closed:
            self._asked.wait()
            self._asked.clear()
            with self._lock:
                queues, self._queues = self._queues, set()
            try:
                link = link or Link(self._url, name="kiln waker")
                link.notify(*queues)
            except psycopg.Error:
                # Polling finds what this announces not; the next wake-up connects again.
                log.warning("wake-up not sent", exc_info=True)
                if link is not None:
                    link.close()
                link = None
            time.sleep(WAKE_INTERVAL_SECONDS)
        if link is not None:
            link.close()
