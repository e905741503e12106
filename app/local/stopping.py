"""Ctrl-C and SIGTERM, turned into a question that can be asked and a sleep that they end."""

import contextlib
import os
import select
import signal
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Self

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopSignals:
    """While entered, the first signal asks to stop, and SIGINT after it asks to stop at once.

    Under `interrupting` the first one raises KeyboardInterrupt where the main thread is, for work that cannot ask.
    SIGTERM again means no more than SIGTERM: make passes it on to us, and so may come twice.
    """

    def __init__(self) -> None:
        self.requested = False
        self.urgent = False
        self._interrupting = False

    def __enter__(self) -> Self:
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._wakeup = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        # SIGCHLD has a handler only so that it ends the sleep.
        self._before = {number: signal.signal(number, self._received) for number in (*_STOPPING, signal.SIGCHLD)}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup)
        os.close(self._reader)
        os.close(self._writer)

    @contextlib.contextmanager
    def interrupting(self) -> Iterator[None]:
        """Work that a signal interrupts."""
        if self.requested:
            raise KeyboardInterrupt
        self._interrupting = True
        try:
            yield
        finally:
            self._interrupting = False

    def sleep(self, seconds: float) -> None:
        """Sleep until a signal comes or a child ends, at most `seconds`."""
        select.select([self._reader], [], [], seconds)
        with contextlib.suppress(BlockingIOError):
            os.read(self._reader, 4096)

    def _received(self, number: int, _frame: FrameType | None) -> None:
        if number not in _STOPPING:
            return
        self.urgent = self.urgent or (self.requested and number == signal.SIGINT)
        first, self.requested = not self.requested, True
        if first and self._interrupting:
            raise KeyboardInterrupt
