"""Keeps the lease of what a process works on, beside the work itself: whoever works holds, and stops when it no longer
does.

A consumer renews what it has in hand from its event loop. That is not enough where the loop may be away, be it for a
lost connection, while the work goes on in another process.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg

from app.broker.delivery import Delivery, LeaseLost, renew
from app.broker.link import SESSION_OPTIONS, PatientConnection

#: Work that is done sooner costs no statement; longer work hears within this time that its message was taken away.
RENEWAL_SECONDS: Final = 0.5

#: A lease that could not be renewed counts as lost this long before it ends, or a quarter of it where that is less, so
#: that two never work on one message.
MARGIN_SECONDS: Final = 1.0


#: Something that is done over the connection that renews, while the work goes on.
Beside = Callable[["psycopg.Connection[Any]"], None]


class Kept:
    """One piece of work and its lease."""

    def __init__(
        self, delivery: Delivery, on_lost: Callable[[], None], lease_seconds: float, beside: Beside | None = None
    ) -> None:
        self.delivery = delivery
        self.beside = beside
        """What is done with each renewal."""
        self.lost = False
        """Whether the lease has gone, or will have before it can be renewed: the result must not be written."""
        self._on_lost = on_lost
        self._ending = threading.Lock()
        self._ended = False
        self._lease_seconds = lease_seconds
        self._held_until = time.monotonic() + lease_seconds

    def renew(self, connection: "psycopg.Connection[Any]") -> None:
        """Hold on for another lease; raises psycopg's errors as they are."""
        asked_at = time.monotonic()
        try:
            renew(connection, self.delivery, lease_seconds=self._lease_seconds)
        except LeaseLost:
            self.give_up()
        else:
            self._held_until = asked_at + self._lease_seconds
            if self.beside is not None:
                self.beside(connection)

    def give_up_in_time(self) -> None:
        """Give up where the lease is about to end."""
        if time.monotonic() > self._held_until - min(MARGIN_SECONDS, self._lease_seconds / 4):
            self.give_up()

    def give_up(self) -> None:
        """Stop the work, once, and not when it has ended."""
        with self._ending:
            if not self.lost and not self._ended:
                self.lost = True
                self._on_lost()

    def end(self) -> None:
        """The work has ended: there is nothing to stop any more."""
        with self._ending:
            self._ended = True


class Keeper:
    """Two threads a process, and one connection once work takes longer than `RENEWAL_SECONDS`: one renews, and may have
    to wait for the server; the other stops the work in time whatever the first is doing.

    They look now and then instead of being told, which would cost every short piece of work a switch.
    """

    def __init__(self, url: str, *, lease_seconds: float) -> None:
        self._url = url
        self._lease_seconds = lease_seconds
        self._every_seconds = min(RENEWAL_SECONDS, lease_seconds / 4)
        self._kept: Kept | None = None
        self._renew_at = 0.0
        self._pid = 0
        self._connection: PatientConnection | None = None

    @contextmanager
    def keeping(self, delivery: Delivery, on_lost: Callable[[], None], beside: Beside | None = None) -> Iterator[Kept]:
        """Keep the lease while the block runs. `on_lost` is called at most once, from another thread, and never after
        the block. `beside` is called from another thread with each renewal, every half second at most; one that comes
        too late must do no harm.
        """
        kept = Kept(delivery, on_lost, self._lease_seconds, beside)
        self._renew_at = time.monotonic() + self._every_seconds
        self._kept = kept
        if self._pid != os.getpid():
            self._pid, self._connection = os.getpid(), None
            for work in (self._renew_when_due, self._stop_in_time):
                threading.Thread(target=work, name="lease-keeper", daemon=True).start()
        try:
            yield kept
        finally:
            self._kept = None
            kept.end()

    def _renew_when_due(self) -> None:
        while True:
            time.sleep(self._every_seconds / 4)
            kept = self._kept
            if kept is not None and time.monotonic() >= self._renew_at:
                self._renew(kept)
                self._renew_at = time.monotonic() + self._every_seconds

    def _stop_in_time(self) -> None:
        while True:
            time.sleep(self._every_seconds / 4)
            kept = self._kept
            if kept is not None:
                kept.give_up_in_time()

    def _renew(self, kept: Kept) -> None:
        try:
            kept.renew(self._connected())
        except psycopg.Error:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _connected(self) -> PatientConnection:
        if self._connection is None:
            self._connection = PatientConnection.connect(
                self._url,
                autocommit=True,
                application_name="kiln lease keeper",
                options=SESSION_OPTIONS,
                connect_timeout=2,
                tcp_user_timeout=int(self._lease_seconds * 500),
            )
            self._connection.patience_seconds = self._lease_seconds / 2
        return self._connection
