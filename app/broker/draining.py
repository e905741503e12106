"""How a worker ends that was told to: its children work on, for a while, and what they do not end goes to others.

A signal to a whole process group, as shells and service managers send it, reaches the children too, which by default
die of it in the middle of their work. Here they take that order from their worker only.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Final

import psycopg

from app.broker import statements
from app.broker.link import SESSION_OPTIONS

log = logging.getLogger(__name__)

#: How long a worker works on where its transport does not say (``drain_seconds``).
DRAIN_SECONDS: Final = 30.0


def obey_parent_only() -> None:
    """From now on SIGTERM ends this process only if its parent sends it. To be called before other threads start."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    threading.Thread(target=_take_orders, name="orders", daemon=True).start()


def _take_orders() -> None:
    while True:
        told = signal.sigwaitinfo({signal.SIGTERM})
        if told.si_pid == os.getppid():
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
            signal.raise_signal(signal.SIGTERM)


def grace_seconds(drain_seconds: Mapping[str, float], queues: Collection[str]) -> float:
    """How long a worker of these queues works on."""
    return max((drain_seconds.get(queue, DRAIN_SECONDS) for queue in queues), default=DRAIN_SECONDS)


def end_in_time(
    url: str, holder: str, children: Sequence[int], *, grace_seconds: float, on_released: Sequence[str]
) -> None:
    """End this process after the grace, whatever its children do: they are killed, and their messages go back at once
    instead of when their leases run out. A process that ends before takes this along.
    """
    hooks = "".join(f", hook_{number} AS ({hook})" for number, hook in enumerate(on_released))
    threading.Thread(
        target=_end,
        args=(url, holder, children, time.monotonic() + grace_seconds, statements.RELEASE_HELD.format(hooks=hooks)),
        name="end-in-time",
        daemon=True,
    ).start()


def _end(url: str, holder: str, children: Sequence[int], deadline: float, release: str) -> None:
    time.sleep(max(0.0, deadline - time.monotonic()))
    for pid in children:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    try:
        with psycopg.connect(url, autocommit=True, options=SESSION_OPTIONS, connect_timeout=2) as connection:
            released = connection.execute(release.encode(), {"holder": holder}).rowcount
        log.warning("worker.released", extra={"messages": released})
    except psycopg.Error:
        log.warning("worker.released", exc_info=True)
    os._exit(0)
