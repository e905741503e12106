"""Flower's broker tab, and its `/api/queues/length`, over our broker."""

import asyncio
from collections.abc import Iterable
from functools import cache
from typing import Any

from flower import views

from app.database import Database
from app.operations import queries
from app.queue import Queue


@cache
def _database(url: str) -> Database:
    return Database(url, application_name="kiln flower", pool_size=1)


class QueueSizes:
    """What Flower asks about a broker, answered as RabbitMQ's management would: `messages` are all that are not done
    yet.
    """

    def __init__(self, broker_url: str, **_options: object) -> None:
        self._database = _database(broker_url)

    async def queues(self, names: Iterable[str]) -> list[dict[str, Any]]:
        """The sizes of the queues that Flower knows its workers to consume, and of ours in any case."""
        return await asyncio.to_thread(self._read, sorted({*names, *(queue.value for queue in Queue)}))

    def _read(self, names: list[str]) -> list[dict[str, Any]]:
        with self._database.statement() as connection:
            return [_as_flower_reads_it(row) for row in queries.queues(connection, names)]


def _as_flower_reads_it(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": row["name"],
        "messages": row["ready"] + row["delayed"] + row["leased"],
        "messages_ready": row["ready"],
        "messages_unacknowledged": row["leased"],
        "consumers": row["consumers"],
    }


def teach_flower() -> None:
    """Let Flower make a `QueueSizes` where it would look for a class by the scheme of the broker's URL: it knows none
    for ours.
    """
    views.Broker = QueueSizes
