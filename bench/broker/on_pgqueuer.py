"""PGQueuer over asyncpg, with the task that every other system has too. Run as a module it is the worker."""

import asyncio
import os
import sys
import time
from typing import Any

import asyncpg
from pgqueuer import PgQueuer
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.db import AsyncpgDriver

from bench.broker.noop import RECORD

TASK = "bench.noop"


def install(url: str) -> None:
    """Make its tables."""

    async def make() -> None:
        connection = await asyncpg.connect(url)
        await Queries(AsyncpgDriver(connection)).install()
        await connection.close()

    asyncio.run(make())


class Producer:
    """Sends one task after the other."""

    def __init__(self, url: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._connection = self._loop.run_until_complete(asyncpg.connect(url))
        self._queries = Queries(AsyncpgDriver(self._connection))

    def send(self, number: int) -> None:
        """Send one."""
        self._loop.run_until_complete(self._queries.enqueue(TASK, str(number).encode()))

    def close(self) -> None:
        """Close the connection."""
        self._loop.run_until_complete(self._connection.close())
        self._loop.close()


async def work(url: str, starts: str) -> None:
    """Its own defaults."""
    queuer = PgQueuer.from_asyncpg_connection(await asyncpg.connect(url))
    file = os.open(starts, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    @queuer.entrypoint(TASK)
    async def noop(job: Any) -> None:
        os.write(file, RECORD.pack(int(job.payload), time.monotonic_ns()))

    await queuer.run()


if __name__ == "__main__":
    arguments: list[Any] = sys.argv[1:]
    asyncio.run(work(*arguments))
