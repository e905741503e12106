"""Publishing inside the caller's transaction."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import psycopg

from app.broker.link import channel_of

_connection: ContextVar["psycopg.Connection[Any] | None"] = ContextVar("publishing_in", default=None)


@contextmanager
def publishing_in(connection: Any) -> Iterator[None]:
    """Messages published in this block (also by `task.apply_async(retry=False)`) are written through `connection`.

    They exist if and only if the caller's transaction commits, and consumers that sleep are woken by that commit.
    `connection` is psycopg's, or SQLAlchemy's over psycopg.
    """
    if not isinstance(connection, psycopg.Connection):
        connection = connection.connection.driver_connection
    token = _connection.set(connection)
    try:
        yield
    finally:
        _connection.reset(token)


def current_connection() -> "psycopg.Connection[Any] | None":
    """The connection of the `publishing_in` block around the caller, if there is one."""
    return _connection.get()


def addressed_to(queue: str) -> dict[str, str]:
    """The parameters of a publishing statement that name its queue."""
    return {"queue": queue, "channel": channel_of(queue)}
