"""Looks after a consumer that believes to be well: one that gets nothing although there is something, and one that
waits for an answer that never comes.

It is a thread that counts seconds of its own, so that a process that was stopped for a while is not judged by the time
that went by meanwhile.
"""

import logging
import os
import threading
from collections.abc import Sequence
from typing import Final, Protocol

import psycopg

from app.broker.link import SESSION_OPTIONS

log = logging.getLogger(__name__)

#: A consumer that has got nothing for so long is looked at; one that has nothing to get costs a look as often.
QUIET_SECONDS: Final = 10

#: It is looked at a second time, so much later, before it is judged.
CONFIRM_SECONDS: Final = 3

#: What has waited for so long, a consumer with room would have claimed in its beat.
WAITED_SECONDS: Final = 5

#: A consumer's connection is used every second; one that has been silent for so long is dead, whatever TCP says.
SILENT_SECONDS: Final = 15

#: EX_SOFTWARE of sysexits.h: whoever supervises the process starts it anew.
EXIT_CODE: Final = 70

#: Whether something could have been claimed.
_CLAIMABLE = """
SELECT EXISTS (
    SELECT FROM broker.messages
    WHERE queue = ANY(%(queues)s) AND state = 'ready' AND ready_at < now() - %(waited)s * interval '1 second'
      AND (expires_at IS NULL OR expires_at > now())
)
"""


class Watched(Protocol):
    """What the watchdog needs to know of a worker. It asks from a thread of its own."""

    def received(self) -> int:
        """How many messages it has got since it started."""

    def wanting(self) -> Sequence[str]:
        """The queues from which it should be getting messages: none where it has enough to do, or was told to stop."""

    def answered_at(self) -> float | None:
        """When its connection was last answered; none while it has no connection or does not use it."""

    def cut(self) -> None:
        """End its connection, so that whoever waits for an answer gets an error."""


class Watchdog:
    """Ends the process, with `EXIT_CODE`, when it gets nothing although messages wait and it has room for them."""

    def __init__(self, url: str, worker: Watched) -> None:
        self._url, self._worker = url, worker
        self._stop = threading.Event()
        self._received, self._quiet, self._suspicious = 0, 0, False
        self._answered_at: float | None = None
        self._silent = 0

    def start(self) -> None:
        """Begin to watch."""
        threading.Thread(target=self._run, name="broker-watchdog", daemon=True).start()

    def stop(self) -> None:
        """Watch no more."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.wait(1):
            try:
                self._watch_connection()
                self._watch_consumer()
            except Exception:
                log.exception("the watchdog could not look")

    def _watch_connection(self) -> None:
        answered_at = self._worker.answered_at()
        if answered_at is None or answered_at != self._answered_at:
            self._answered_at, self._silent = answered_at, 0
            return
        self._silent += 1
        if self._silent == SILENT_SECONDS:
            log.warning("worker.connection_silent", extra={"seconds": SILENT_SECONDS})
            self._worker.cut()

    def _watch_consumer(self) -> None:
        received = self._worker.received()
        if received != self._received:
            self._received, self._quiet, self._suspicious = received, 0, False
            return
        if 1 < self._silent < SILENT_SECONDS:
            return  # Its connection is judged first: it may be all that is wrong.
        self._quiet += 1
        if self._quiet < (CONFIRM_SECONDS if self._suspicious else QUIET_SECONDS):
            return
        self._quiet = 0
        idle_beside_work = self._claimable(self._worker.wanting())
        if idle_beside_work and self._suspicious and not self._stop.is_set():
            log.critical("worker.stalled", extra={"seconds": QUIET_SECONDS + CONFIRM_SECONDS})
            os._exit(EXIT_CODE)
        self._suspicious = idle_beside_work

    def _claimable(self, queues: Sequence[str]) -> bool:
        """A database that does not answer says nothing of the consumer. The connection lives as long as the look, so
        that none is held for it and none can be dead.
        """
        if not queues:
            return False
        try:
            with psycopg.connect(
                self._url,
                autocommit=True,
                application_name="kiln watchdog",
                options=f"{SESSION_OPTIONS} -c statement_timeout=2s",
                connect_timeout=5,
                tcp_user_timeout=5_000,
            ) as connection:
                row = connection.execute(_CLAIMABLE, {"queues": list(queues), "waited": WAITED_SECONDS}).fetchone()
        except psycopg.Error:
            return False
        return bool(row and row[0])
