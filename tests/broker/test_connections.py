"""Connections are lost, and come back."""

from collections.abc import Callable
from typing import Any

import pytest
from kombu import Connection, Queue

from tests.broker.sending import publish

Connect = Callable[..., Connection]
Rows = Callable[..., list[Any]]


def test_a_lost_connection_is_an_error_that_kombu_recovers_from(connect: Connect, queue: Queue, rows: Rows) -> None:
    connection = connect()
    publish(connection, 1, queue)
    rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
    with pytest.raises(connection.connection_errors):
        publish(connection, 2, queue)
    connection.ensure_connection()
