"""Publishing inside the caller's transaction."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import psycopg

from app.broker.lanes import Bounds, Place
from app.broker.link import channel_of

_connection: ContextVar["psycopg.Connection[Any] | None"] = ContextVar("publishing_in", default=None)


@contextmanager
def publishing_in(connection: Any) -> Iterator[None]:
    """Messages published in this block, by `task.delay` or however else, are written through `connection`.

    They exist if and only if the caller's transaction commits, and consumers that sleep are woken by that commit.
    `connection` is psycopg's, or SQLAlchemy's over psycopg; raises TypeError for anything else. The block is that of
    the thread, or of the asyncio task, that entered it: what other threads publish meanwhile is published at once.
    """
    if not isinstance(connection, psycopg.Connection):
        connection = getattr(getattr(connection, "connection", None), "driver_connection", None)
    if not isinstance(connection, psycopg.Connection):
        error = "publishing_in takes a connection of psycopg's or of SQLAlchemy's over it, such as session.connection()"
        raise TypeError(error)
    token = _connection.set(connection)
    try:
        yield
    finally:
        _connection.reset(token)


def current_connection() -> "psycopg.Connection[Any] | None":
    """The connection of the `publishing_in` block around the caller, if there is one."""
    return _connection.get()


def addressed_to(queue: str, place: Place, heads: Bounds | None = None) -> dict[str, Any]:
    """The parameters of a statement that name its queue, and the place there of what it publishes. `heads` knows where
    queues begin.
    """
    return {
        "queue": queue,
        "channel": channel_of(queue),
        "priority": place.priority,
        "lane": place.lane,
        "head": heads.at(queue, place.priority) if heads else 0,
    }
