"""How a provider is asked: by few threads at a time, not again for a while after it was silent, and not for what it has
just said. So one that hangs holds up those who sign in with it, and nobody else.
"""

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Generic, TypeVar

from app.oidc.domain import OidcError, Unavailable

#: For how long is believed what a provider has said of itself; then keys that it has withdrawn are not any more.
_KEPT_SECONDS: Final = 600
#: A token whose key is unknown has the keys read again, so often at most; a provider that is away is left alone for
#: as long.
PAUSE_SECONDS: Final = 10
#: How long somebody waits for another who is asking the same.
_WAIT_SECONDS: Final = 15

_MOST_WAITING: Final = 4

_Found = TypeVar("_Found")


class Line:
    """The way to one provider."""

    def __init__(self) -> None:
        self._places = threading.BoundedSemaphore(_MOST_WAITING)
        self._silent_at = -math.inf

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Ask it meanwhile. Raises Unavailable at once where too many do, or where it was silent a moment ago."""
        if time.monotonic() - self._silent_at < PAUSE_SECONDS:
            raise Unavailable("it was silent a moment ago")
        if not self._places.acquire(blocking=False):
            raise Unavailable("others wait for the provider")
        try:
            yield
        except Unavailable as error:
            # What it answers on what a stranger sends, such as that it is busy, must not keep others from asking.
            if error.is_silent:
                self._silent_at = time.monotonic()
            raise
        finally:
            self._places.release()


class Kept(Generic[_Found]):
    """Something that a provider is asked for, or why it could not be had. One thread asks, and others wait for it."""

    def __init__(self, ask: Callable[[], _Found]) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._at = -math.inf
        self._found: _Found | None = None
        self._error: OidcError | None = None

    def known(self) -> _Found | None:
        """What is to be had without asking or waiting."""
        return self._found if time.monotonic() - self._at < _KEPT_SECONDS else None

    def get(self, seconds: float = _KEPT_SECONDS) -> _Found:
        """What was found, not longer ago than that."""
        if not self._lock.acquire(timeout=_WAIT_SECONDS):
            raise Unavailable("others wait for the provider")
        try:
            if time.monotonic() - self._at >= (seconds if self._error is None else PAUSE_SECONDS):
                self._renew()
            if self._found is None:
                error = self._error or Unavailable("nothing")
                raise type(error)(error.why) from error
            return self._found
        finally:
            self._lock.release()

    def _renew(self) -> None:
        self._found = self._error = None
        try:
            self._found = self._ask()
        except OidcError as error:
            self._error = error
        self._at = time.monotonic()
