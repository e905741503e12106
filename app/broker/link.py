"""One autocommit connection that also listens."""

import hashlib
import select
import time
from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg import sql

from app.broker import statements

#: libpq keeps channel names to 63 bytes; the longest of our prefixes leaves room for the digest that stands for a long
#: queue name.
_LONGEST_CHANNEL = 63

SESSION_OPTIONS = "-c timezone=UTC -c statement_timeout=30s"


def channel_of(queue: str) -> str:
    """The NOTIFY channel on which a queue's consumers are woken; in SQL, ``broker.channel_of(queue)``."""
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
        self._notified: set[str] = set()
        self._connection.add_notify_handler(lambda notification: self._notified.add(notification.channel))

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

    def heard(self) -> set[str]:
        """The channels notified since the last call; reads what the socket holds and never blocks.

        Notifications also arrive inside other statements' answers, so the handler and the socket are both looked at.
        """
        with self._connection.lock:
            pgconn = self._connection.pgconn
            pgconn.consume_input()
            while notification := pgconn.notifies():
                self._notified.add(notification.relname.decode())
        heard, self._notified = self._notified, set()
        return heard

    def wait(self, seconds: float) -> None:
        """Sleep until something arrives, at most so long."""
        if not self._notified:
            select.select([self._connection], [], [], seconds)

    @staticmethod
    def closed() -> psycopg.InterfaceError:
        """What is raised where there is no connection any more."""
        return psycopg.InterfaceError("the transport is closed")

    def close(self) -> None:
        """Close the connection; closing twice is harmless."""
        self._connection.close()
