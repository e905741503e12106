"""A worker in which one mechanism is broken, named by CHAOS_BROKEN: what shows that a test can fail.

Production code has no such switch; each of these replaces one named thing before the real `worker` starts.
"""

import tests.chaos.skew  # isort: skip - the clock is set before anybody looks at it

import ctypes
import os
import re
import resource
import signal
import time
from collections.abc import Callable
from typing import Any

import psycopg

from app.broker import draining, keeping, statements, watchdog
from app.broker.bootsteps import WatchedConsumer
from app.broker.cursor import Cursor
from app.broker.pump import Pump
from app.broker.transport import Transport
from app.executions import queries, running

_TOKEN = re.compile(
    r" AND (?:message\.)?token = (?:%\(token\)s|(?:held|acked|ended)\.token)"
    r"| AND execution\.attempts = (?:%\(attempt\)s|ended\.attempt)"
)


def _do_nothing(*_args: object, **_kwargs: object) -> int:
    return 0


#: What a mechanism does that is off.
_nothing: Any = _do_nothing


def _reword(module: Any, name: str, old: str, new: str) -> None:
    """Change a statement; one that no longer says what is to be changed would break nothing."""
    statement = getattr(module, name)
    assert old in statement, f"{name} does not say: {old}"
    setattr(module, name, statement.replace(old, new))


def blocking() -> None:
    """No event loop: Celery takes the pool whose children share one pipe and one lock."""
    Transport.implements = Transport.implements.extend(asynchronous=False)


def unfenced() -> None:
    """Statements without the lease's token, and workers that do not look at the clock: whoever held a message once may
    still write.
    """
    keeping.Kept.give_up_in_time = _nothing  # type: ignore[method-assign]
    for module in (statements, queries):
        for name, value in vars(module).items():
            if isinstance(value, str) and _TOKEN.search(value):
                setattr(module, name, _TOKEN.sub("", value))


def unkept() -> None:
    """Nothing renews a lease, and nobody notices."""
    keeping.Kept.renew = _nothing  # type: ignore[method-assign]
    Transport.renew = _nothing  # type: ignore[method-assign]


def forgiving() -> None:
    """Nobody counts how often a message took its worker down."""
    for name in ("RELEASE", "BEAT"):
        _reword(statements, name, "losses = losses + ", "losses = 0 * ")


def deaf() -> None:
    """Whoever works hears nothing of a message that was taken away."""
    keeping.Kept.give_up = _nothing  # type: ignore[method-assign]


def hoarding() -> None:
    """Leases never run out: nobody takes back what a dead worker held."""
    _reword(statements, "BEAT", "state = 'leased' AND ready_at <= now()", "false")


def idle() -> None:
    """It lives, and claims nothing."""
    Pump.run = _nothing  # type: ignore[method-assign]


def unwatched() -> None:
    """Nobody looks after it."""
    watchdog.Watchdog.start = _nothing  # type: ignore[method-assign]


def unpatient() -> None:
    """A worker that was told to stop gives its children three seconds."""
    draining.grace_seconds = lambda *_: 3


def deadly() -> None:
    """Children die of a signal to the whole group."""
    draining.obey_parent_only = _nothing


def beatless() -> None:
    """Nobody looks for what no notification told of."""
    Pump.beat = _nothing  # type: ignore[method-assign]


def mortal() -> None:
    """A child dies of certain inputs, as it would of a fault in the engine or for want of memory."""
    ran = running._run

    def run(platform: Any, modules: Any, claimed: Any, *more: Any) -> Any:
        match claimed.delivery.carried["input"]:
            case '"SIGSEGV"':
                ctypes.string_at(0)  # A fault: of a signal that was only sent, the engine's handler makes nothing.
            case '"SIGKILL"':
                os.kill(os.getpid(), signal.SIGKILL)
                time.sleep(60)  # Another thread may be the one to take it.
            case '"exit"':
                os._exit(0)
            case '"memory"':
                resource.setrlimit(resource.RLIMIT_AS, (1 << 30, resource.RLIM_INFINITY))
                bytearray(2 << 30)
        return ran(platform, modules, claimed, *more)

    running._run = run  # type: ignore[assignment]


def unrenewable() -> None:
    """Leases cannot be renewed, as if the database were away for that alone."""

    def fail(*_args: object, **_kwargs: object) -> None:
        raise psycopg.OperationalError

    setattr(keeping, "renew", fail)  # noqa: B010 - imported there, not exported
    Transport.renew = _nothing  # type: ignore[method-assign]


def own_clock() -> None:
    """Leases are counted by the worker's clock, which is five seconds late."""
    for name in ("CLAIM", "RENEW"):
        _reword(statements, name, "now() + %(lease)s", "now() - interval '5 seconds' + %(lease)s")


def cursorless() -> None:
    """Every claim starts at the beginning of the index, and so does what is taken along."""
    Cursor.passed = _nothing  # type: ignore[method-assign]
    _reword(queries, "FINISH_GROUP", "rank >= %(after)s", "rank >= 0 * %(after)s")


def hasty() -> None:
    """Not broken: its watchdog judges within seconds, so that a short test need not wait."""
    watchdog.QUIET_SECONDS, watchdog.CONFIRM_SECONDS = 4, 2  # type: ignore[misc]
    watchdog.SILENT_SECONDS, watchdog.WAITED_SECONDS = 4, 2  # type: ignore[misc]


def hopeless() -> None:
    """A database that is away, or has no connection left, is a fault like any other."""
    Transport.connection_errors = Transport.recoverable_connection_errors = (psycopg.InterfaceError,)  # type: ignore[assignment]


def leaking() -> None:
    """Something is kept of every message."""
    kept: list[bytearray] = []
    received = WatchedConsumer._on_message

    def keep(self: WatchedConsumer, request: Any) -> None:
        kept.append(bytearray(os.urandom(64_000)))
        received(self, request)

    setattr(WatchedConsumer, "_on_message", keep)  # noqa: B010 - the same


_BREAKS: dict[str, Callable[[], Any]] = {
    one.__name__: one
    for one in (
        beatless,
        blocking,
        cursorless,
        deadly,
        deaf,
        forgiving,
        hasty,
        hoarding,
        hopeless,
        idle,
        leaking,
        mortal,
        own_clock,
        unfenced,
        unkept,
        unpatient,
        unrenewable,
        unwatched,
    )
}

for _name in filter(None, os.environ["CHAOS_BROKEN"].split(",")):
    _BREAKS[_name]()

from worker import app, celery  # noqa: E402 - the breaks come first

__all__ = ["app", "celery", "tests"]
