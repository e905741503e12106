"""One autocommit connection that also listens."""

import hashlib
import os
import select
import socket
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import psycopg
from psycopg import sql

from app.broker import statements

#: libpq keeps channel names to 63 bytes; the longest of our prefixes leaves room for the digest that stands for a long
#: queue name.
_LONGEST_CHANNEL = 63

#: Plans of prepared statements are made while a queue is empty and kept when it is not: only an index serves both.
SESSION_OPTIONS = "-c timezone=UTC -c statement_timeout=30s -c enable_seqscan=off"


def channel_of(queue: str) -> str:
    """The NOTIFY channel on which a queue's consumers are woken."""
    channel = f"broker.{queue}"
    if len(channel.encode()) > _LONGEST_CHANNEL:
        return f"broker.{hashlib.sha256(queue.encode()).hexdigest()[:40]}"
    return channel


class Link:
    """A connection in autocommit mode with keepalives; the names of notified channels gather in it until they are asked
    for.

    Any thread may execute; psycopg serialises them. Raises psycopg's errors as they are.
    """

    def __init__(self, url: str, *, name: str) -> None:
        self._connection = psycopg.connect(
            url,
            autocommit=True,
            application_name=name[:63],
            options=SESSION_OPTIONS,
            connect_timeout=5,
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=3,
            # A peer that vanished without a word is an error after this, and not after a quarter of an hour.
            tcp_user_timeout=15_000,
        )
        self.answered_at = time.monotonic()
        """When the server last answered."""
        self._notified: defaultdict[str, list[str]] = defaultdict(list)
        self._connection.add_notify_handler(lambda told: self._notified[told.channel].append(told.payload))

    def fileno(self) -> int:
        """The socket, for an event loop."""
        return self._connection.fileno()

    def execute(self, statement: str, parameters: Mapping[str, Any] | None = None) -> "psycopg.Cursor[Any]":
        """Run one statement; prepared by psycopg after its fifth time."""
        cursor = self._connection.execute(statement, parameters)
        self.answered_at = time.monotonic()
        return cursor

    def listen(self, channel: str) -> None:
        """Begin to hear of a channel."""
        self._connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))

    def unlisten(self, channel: str) -> None:
        """Hear no more of a channel."""
        self._connection.execute(sql.SQL("UNLISTEN {}").format(sql.Identifier(channel)))

    def notify(self, *queues: str) -> None:
        """Wake the consumers of these queues."""
        self._connection.execute(statements.NOTIFY, {"channels": [channel_of(queue) for queue in queues]})

    def read(self) -> None:
        """Take what the socket holds; never blocks."""
        with self._connection.lock:
            self._connection.pgconn.consume_input()

    def heard(self) -> Mapping[str, list[str]]:
        """The channels notified since the last call with what they were told, as far as it was read.

        Notifications come with other statements' answers too: those in front of an answer psycopg gives to the handler,
        those behind it stay in libpq until they are asked for.
        """
        with self._connection.lock:
            while told := self._connection.pgconn.notifies():
                self._notified[told.relname.decode()].append(told.extra.decode())
        heard, self._notified = self._notified, defaultdict(list)
        return heard

    def wait(self, seconds: float) -> None:
        """Sleep until something arrives, at most so long."""
        if not self._notified:
            select.select([self._connection], [], [], seconds)

    @staticmethod
    def closed() -> psycopg.InterfaceError:
        """What is raised where there is no connection any more."""
        return psycopg.InterfaceError("the transport is closed")

    def cut(self) -> None:
        """Shut the socket from another thread: whoever waits for an answer gets an error."""
        with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(self._connection.fileno())) as connected:
            connected.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection; closing twice is harmless."""
        self._connection.close()
