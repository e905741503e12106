"""A worker in which one mechanism is broken, named by CHAOS_BROKEN: what shows that a test can fail.

Production code has no such switch; each of these replaces one named thing before the real `worker` starts.
"""

import os
import re
from collections.abc import Callable
from typing import Any

from app.broker import keeping, statements
from app.broker.channel import Channel
from app.broker.pump import Pump
from app.broker.transport import Transport
from app.broker.watchdog import Watchdog
from app.executions import queries

_TOKEN = re.compile(r" AND (?:message\.)?deliveries = (?:%\(token\)s|held\.token|acked\.token)")


def _do_nothing(*_args: object, **_kwargs: object) -> int:
    return 0


#: What a mechanism does that is off.
_nothing: Any = _do_nothing


def blocking() -> None:
    """No event loop: Celery takes the pool whose children share one pipe and one lock."""
    Transport.implements = Transport.implements.extend(asynchronous=False)


def unfenced() -> None:
    """Statements without the lease's token: whoever held a message once may still write."""
    for module in (statements, queries):
        for name, value in vars(module).items():
            if isinstance(value, str) and _TOKEN.search(value):
                setattr(module, name, _TOKEN.sub("", value))


def unkept() -> None:
    """Nothing renews a lease, and nobody notices."""
    keeping.Kept.renew = _nothing  # type: ignore[method-assign]
    Channel.renew = _nothing  # type: ignore[method-assign]


def hoarding() -> None:
    """Leases never run out: nobody takes back what a dead worker held."""
    statements.BEAT = statements.BEAT.replace("state IN ('delayed', 'leased')", "state = 'delayed'")


def idle() -> None:
    """It lives, and claims nothing."""
    Pump.run = _nothing  # type: ignore[method-assign]


def unwatched() -> None:
    """Nobody looks after it."""
    Watchdog.start = _nothing  # type: ignore[method-assign]


_BREAKS: dict[str, Callable[[], Any]] = {
    one.__name__: one for one in (blocking, hoarding, idle, unfenced, unkept, unwatched)
}

for _name in os.environ["CHAOS_BROKEN"].split(","):
    _BREAKS[_name]()

from worker import app, celery  # noqa: E402 - the breaks come first

__all__ = ["app", "celery"]
