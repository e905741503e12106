"""Renews what a consumer holds, and its word that it lives, from beside it: its own thread may be away at work, or
asleep, for longer than a lease.
"""

import logging
import threading
from collections.abc import Callable

import psycopg

from app.broker.link import Link

log = logging.getLogger(__name__)


class Renewer:
    """A thread that lives from when it is first needed to the end of the connection."""

    def __init__(self, link: Link, renew: Callable[[], None], *, every_seconds: float) -> None:
        self._link, self._renew, self._every_seconds = link, renew, every_seconds
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, unless it has begun."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="renewer", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End; what is held from now on is held by its lease alone."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(self._every_seconds) and self._link.usable:
            try:
                self._renew()
            except psycopg.Error as error:
                if not self._stopped.is_set():
                    log.warning("not renewed: %s", error)
