"""Ends a guest at its deadline, and the process where the guest cannot be ended."""

import os
import signal
import threading
import time
from typing import Final

import wasmtime

GRACE_SECONDS: Final = 2.5


class Watchdog:
    """One thread a process; asleep without a timer while nothing runs.

    `arm` and `disarm` bracket one execution. At the deadline the engine's epoch moves on, which traps the guest at its
    next loop or call. Host calls and bulk memory instructions are not interrupted by that: what has not ended
    `grace_seconds` after its deadline can only be stopped by ending the process, and the execution's message is then
    given to another worker.
    """

    def __init__(self, engine: wasmtime.Engine, grace_seconds: float = GRACE_SECONDS) -> None:
        self._engine = engine
        self._grace_seconds = grace_seconds
        self._changed = threading.Condition(threading.Lock())
        self._thread: threading.Thread | None = None
        self._deadline: float | None = None
        self._interrupted = False
        self._wakes_at: float | None = None

    def arm(self, deadline: float) -> None:
        """Starts the watch; `deadline` is in seconds of the monotonic clock."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._watch, name="wasm-watchdog", daemon=True)
            self._thread.start()
        with self._changed:
            self._deadline = deadline
            self._interrupted = False
            # A thread that wakes early enough by itself is left asleep: that saves a switch on each short execution.
            if self._wakes_at is None or self._wakes_at > deadline:
                self._changed.notify()

    def disarm(self) -> None:
        """Ends the watch; after it returns, no epoch of this execution can hit the next."""
        with self._changed:
            self._deadline = None

    def interrupt(self) -> None:
        """Bring the deadline forward to now, if anything runs."""
        with self._changed:
            if self._deadline is not None and not self._interrupted:
                self._deadline = time.monotonic()
                self._changed.notify()

    def _watch(self) -> None:
        with self._changed:
            while True:
                pause = self._act()
                self._wakes_at = None if pause is None else time.monotonic() + pause
                self._changed.wait(pause)

    def _act(self) -> float | None:
        """Does what is due and says how many seconds later to look again, None for not before `arm`."""
        if self._deadline is None:
            return None
        now = time.monotonic()
        if now < self._deadline:
            return self._deadline - now
        if self._interrupted:
            os.write(2, b"kiln: a guest could not be interrupted, so its process ends\n")
            os.kill(os.getpid(), signal.SIGKILL)
        # The grace begins here and not at the deadline: after a SIGSTOP the guest still gets its chance to end.
        self._engine.increment_epoch()
        self._interrupted = True
        self._deadline = now + self._grace_seconds
        return self._grace_seconds
