"""procrastinate, with the task that every other system has too. Run as a module it is the worker."""

import asyncio
import os
import sys
import time
from typing import Any

import procrastinate

from bench.broker.noop import RECORD

TASK = "bench.noop"


def install(url: str) -> None:
    """Make its tables."""
    with procrastinate.App(connector=procrastinate.SyncPsycopgConnector(conninfo=url)).open() as app:
        app.schema_manager.apply_schema()


class Producer:
    """Sends one task after the other."""

    def __init__(self, url: str) -> None:
        self._app = procrastinate.App(connector=procrastinate.SyncPsycopgConnector(conninfo=url))
        self._app.open()
        self._task = self._app.configure_task(TASK)

    def send(self, number: int) -> None:
        """Send one."""
        self._task.defer(number=number)

    def close(self) -> None:
        """Close the connection."""
        self._app.close()


async def work(url: str, starts: str) -> None:
    """Two tasks at a time, as Celery's workers here."""
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=url))
    file = os.open(starts, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    @app.task(name=TASK)
    async def noop(number: int) -> None:
        os.write(file, RECORD.pack(number, time.monotonic_ns()))

    async with app.open_async():
        await app.run_worker_async(concurrency=2)


if __name__ == "__main__":
    arguments: list[Any] = sys.argv[1:]
    asyncio.run(work(*arguments))
