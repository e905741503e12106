"""Renews what a consumer holds from beside it: its own thread may be away at work for longer than a lease."""

import logging
import threading
from collections.abc import Callable

import psycopg

log = logging.getLogger(__name__)


class Renewer:
    """A thread that lives from the first lease of a connection to its end."""

    def __init__(self, renew: Callable[[], None], *, every_seconds: float) -> None:
        self._renew, self._every_seconds = renew, every_seconds
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, unless it has begun."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="lease-renewer", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End; what is held from now on is held by its lease alone."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(self._every_seconds):
            try:
                self._renew()
            except psycopg.Error as error:
                if not self._stopped.is_set():
                    log.warning("leases not renewed: %s", error)
