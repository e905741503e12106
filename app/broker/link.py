"""One autocommit connection that also listens."""

import hashlib
import os
import select
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, TypeVar

import psycopg
from psycopg import pq, sql
from psycopg.abc import PQGen

#: libpq keeps channel names to 63 bytes; the longest of our prefixes leaves room for the digest that stands for a long
#: queue name.
_LONGEST_CHANNEL = 63

SESSION_OPTIONS = "-c timezone=UTC -c statement_timeout=30s"

#: Our statements read by their indexes however small the tables are: a plan is made once, perhaps while they are empty,
#: and used when there are a million messages. It is made anew after each vacuum, which comes when they have become so.
PLANNING = "".join(
    f" -c {setting}=off"
    for setting in ("enable_seqscan", "enable_bitmapscan", "enable_hashjoin", "enable_mergejoin", "jit")
)

#: The server gives up a statement before this; one without any answer so long after it was sent never gets one.
PATIENCE_SECONDS: Final = 35.0

_Answer = TypeVar("_Answer")


def channel_of(queue: str) -> str:
    """The NOTIFY channel on which a queue's consumers are woken; in SQL, ``broker.channel_of(queue)``."""
    channel = f"broker.{queue}"
    if len(channel.encode(errors="replace")) > _LONGEST_CHANNEL:
        return f"broker.{hashlib.sha256(queue.encode(errors='replace')).hexdigest()[:40]}"
    return channel


def execute(
    connection: "psycopg.Connection[Any]", statement: str, parameters: Mapping[str, Any] | None
) -> "psycopg.Cursor[Any]":
    """Run one statement; text that is none, because half of a surrogate pair is in it, is a DataError."""
    try:
        return connection.execute(statement, parameters)
    except UnicodeEncodeError as error:
        raise psycopg.DataError(str(error)) from error


class NotMigrated(psycopg.ProgrammingError):
    """The database has no tables of the broker's. Run its migrations first."""

    def __init__(self) -> None:
        super().__init__(str(type(self).__doc__))


class PatientConnection(psycopg.Connection[Any]):
    """psycopg's, where to be left without an answer for `patience_seconds` is an error too: a server or a proxy that
    stands still keeps its side of TCP alive.
    """

    patience_seconds = PATIENCE_SECONDS

    def wait(self, gen: PQGen[_Answer], interval: float = 0.1, timeout: float | None = None) -> _Answer:
        """Wait for an answer; raises OperationalError and is of no use any more when none comes."""
        try:
            return super().wait(gen, interval, self.patience_seconds if timeout is None else timeout)
        except psycopg.OperationalError as error:
            if self.pgconn.transaction_status != pq.TransactionStatus.ACTIVE:
                raise
            self.close()
            lost = "the server does not answer"
            raise psycopg.OperationalError(lost) from error

    def ping(self, seconds: float) -> None:
        """Let the server answer something within so many seconds. A connection that another thread uses is alive."""
        if self.lock.acquire(blocking=False):
            try:
                self.wait(self._exec_command("SELECT 1"), timeout=seconds)
            finally:
                self.lock.release()


class Link:
    """A connection in autocommit mode with keepalives; the names of notified channels gather in it until they are asked
    for.

    Any thread may execute; psycopg serialises them. Raises psycopg's errors as they are.
    """

    def __init__(self, url: str, *, name: str) -> None:
        self._connection = PatientConnection.connect(
            url,
            autocommit=True,
            application_name=name[:63],
            options=SESSION_OPTIONS + PLANNING,
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=3,
            # A peer that vanished without a word is an error after this, and not after a quarter of an hour.
            tcp_user_timeout=15_000,
        )
        self.answered_at = time.monotonic()
        """When the server last answered."""
        self._notified: defaultdict[str, list[str]] = defaultdict(list)
        self._listener = threading.get_ident()
        self._connection.add_notify_handler(self._on_notification)
        self._alerted = False
        self.alarm = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        """Readable when whoever waits for this connection is to look up from it."""

    def fileno(self) -> int:
        """The socket, for an event loop."""
        return self._connection.fileno()

    @property
    def usable(self) -> bool:
        """Whether it is open as far as is known without asking the server."""
        return not self._connection.closed

    def execute(self, statement: str, parameters: Mapping[str, Any] | None = None) -> "psycopg.Cursor[Any]":
        """Run one statement; prepared by psycopg after its fifth time. Raises `NotMigrated` where our tables are
        missing.
        """
        try:
            cursor = execute(self._connection, statement, parameters)
        except psycopg.errors.UndefinedTable as error:
            if "broker." in str(error):
                raise NotMigrated from error
            raise
        self.answered_at = time.monotonic()
        return cursor

    def ping(self, seconds: float) -> None:
        """Raise OperationalError unless the server answers within so many seconds."""
        self._connection.ping(seconds)
        self.answered_at = time.monotonic()

    def listen(self, channel: str) -> None:
        """Begin to hear of a channel."""
        self._connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))

    def unlisten(self, channel: str) -> None:
        """Hear no more of a channel."""
        self._connection.execute(sql.SQL("UNLISTEN {}").format(sql.Identifier(channel)))

    def read(self) -> None:
        """Take what the socket holds; never blocks."""
        with self._connection.lock:
            self._connection.pgconn.consume_input()

    def heard(self) -> Mapping[str, list[str]]:
        """The channels notified since the last call with what they were told, as far as it was read.

        Notifications come with other statements' answers too: those in front of an answer psycopg gives to the handler,
        those behind it stay in libpq until they are asked for.
        """
        self._listener = threading.get_ident()
        with self._connection.lock:
            while told := self._connection.pgconn.notifies():
                self._notified[told.relname.decode()].append(told.extra.decode())
        heard, self._notified = self._notified, defaultdict(list)
        return heard

    def _on_notification(self, notification: psycopg.Notify) -> None:
        self._notified[notification.channel].append(notification.payload)
        if threading.get_ident() != self._listener:
            self.alert()  # It came with the answer to another thread's statement; the socket is silent again.

    def alert(self) -> None:
        """Wake whoever waits."""
        if self.alarm >= 0 and not self._alerted:
            self._alerted = True
            os.eventfd_write(self.alarm, 1)

    def calm(self) -> None:
        """End the alarm."""
        with suppress(BlockingIOError):
            os.eventfd_read(self.alarm)
        self._alerted = False

    def wait(self, seconds: float) -> None:
        """Sleep until something arrives, at most so long."""
        if not self._notified:
            poll = select.poll()  # select.select knows no descriptor beyond 1023.
            poll.register(self.fileno(), select.POLLIN)
            poll.register(self.alarm, select.POLLIN)
            poll.poll(seconds * 1000)
            self.calm()

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
        if self.alarm >= 0:
            alarm, self.alarm = self.alarm, -1
            os.close(alarm)
