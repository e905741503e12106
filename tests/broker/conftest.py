"""A queue on a database of the test's own."""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from kombu import Connection, Queue

from app.broker import register_transport
from app.settings import Settings


@pytest.fixture
def connect(settings: Settings) -> Iterator[Callable[..., Connection]]:
    """Opens kombu connections with the transport's options."""
    register_transport()
    opened: list[Connection] = []

    def connection(**options: Any) -> Connection:
        opened.append(Connection(settings.database_url, transport_options=options))
        return opened[-1]

    yield connection
    for one in opened:
        one.release()


@pytest.fixture
def database(settings: Settings) -> Iterator["psycopg.Connection[Any]"]:
    """A plain connection, as a caller with a transaction has it."""
    with psycopg.connect(settings.database_url) as connection:
        yield connection


@pytest.fixture
def queue() -> Queue:
    """The queue of these tests."""
    return Queue("work", routing_key="work")
