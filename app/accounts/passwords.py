"""Passwords: which are refused, how they are kept, and what hashing them may take from everybody else.

Argon2id with the parameters of OWASP's sheet on password storage, by argon2-cffi. One hash takes 46 MiB and a tenth of
a second, so a process makes one at a time, in a thread that yields to all others, and lets only so many wait: few of
each, and some places are for those who are known.
"""

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from app.accounts.domain import PasswordRefused, TooManyAttempts

_Answer = TypeVar("_Answer")

SHORTEST, LONGEST = 8, 128

_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=47_104, parallelism=1)
_NICENESS: Final = 10
_MOST_WAITING: Final = 16
_MOST_STRANGERS: Final = 12
_MOST_OF_ONE: Final = 2
_WAIT_SECONDS: Final = 10


def check(password: str, *about: str) -> None:
    """Raises PasswordRefused for what is too short or too long, was found in breaches, or says what is known `about`
    its owner.
    """
    if not SHORTEST <= len(password) <= LONGEST:
        message = f"a password has {SHORTEST} to {LONGEST} characters"
        raise PasswordRefused(message)
    plain = password.lower()
    if plain in _common() or len(set(plain)) < 3:
        raise PasswordRefused("this password is among those that are tried first")
    words = {"kiln", *(word for text in about for word in _words(text))}
    if any(not plain.replace(word, "").strip("0123456789!?.-_ ") for word in words):
        raise PasswordRefused("this password says no more than what everybody knows about the account")


def _words(text: str) -> list[str]:
    for separator in "@.+-_":
        text = text.replace(separator, " ")
    return [word for word in text.lower().split() if len(word) >= 3]


@cache
def _common() -> frozenset[str]:
    # The package takes a twentieth of a second to import, which only those pay who set a password.
    from zxcvbn.frequency_lists import FREQUENCY_LISTS  # noqa: PLC0415

    return frozenset(word for word in FREQUENCY_LISTS["passwords"] if len(word) >= SHORTEST)


@dataclass(frozen=True, slots=True)
class Waiter:
    """Who waits for a password; `is_known`: they have a session or key, or have signed in from there before."""

    name: str
    is_known: bool


class Places:
    """Where to wait, for one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken = Counter[str]()

    @contextmanager
    def taken(self, waiter: Waiter) -> Iterator[None]:
        """Have a place meanwhile; raises TooManyAttempts where there is none for this waiter."""
        most = _MOST_WAITING if waiter.is_known else _MOST_STRANGERS
        with self._lock:
            if self._taken.total() >= most or self._taken[waiter.name] >= _MOST_OF_ONE:
                raise TooManyAttempts(_WAIT_SECONDS)
            self._taken[waiter.name] += 1
        try:
            yield
        finally:
            with self._lock:
                self._taken -= Counter([waiter.name])


class Hashing:
    """Hashes passwords, for one process."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "passwords", initializer=_yield_to_others)
        self._places = Places()

    def hash(self, password: str, waiter: Waiter) -> str:
        """What is kept of a password; raises TooManyAttempts where too many wait for theirs."""
        return self._done(lambda: _HASHER.hash(password), waiter)

    def verify(self, password: str, kept: str | None, waiter: Waiter) -> bool:
        """Whether this is the password. Where none is kept it takes as long, so that nobody learns that from it. Raises
        TooManyAttempts where too many wait for theirs.
        """
        return self._done(lambda: _verify(password, kept or _nobodys()), waiter) and kept is not None

    def is_outdated(self, kept: str) -> bool:
        """Whether a password was hashed in a way that is not good enough any more."""
        return _HASHER.check_needs_rehash(kept)

    def _done(self, work: Callable[[], _Answer], waiter: Waiter) -> _Answer:
        with self._places.taken(waiter):
            return self._thread.submit(work).result()


@cache
def hashing() -> Hashing:
    """This process's."""
    return Hashing()


def _verify(password: str, kept: str) -> bool:
    try:
        return _HASHER.verify(kept, password)
    except (VerifyMismatchError, VerificationError, InvalidHashError):
        return False


@cache
def _nobodys() -> str:
    return _HASHER.hash(os.urandom(16).hex())


def _yield_to_others() -> None:
    # On Linux a thread has a niceness of its own.
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
