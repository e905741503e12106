"""Who sends: one task after the other, each committed or confirmed as the system has it by default."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Protocol

from bench.broker.noop import application

#: How the URLs of systems begin that are no brokers of Celery's.
OTHERS = {"procrastinate", "pgqueuer"}


class Producer(Protocol):
    """Sends tasks."""

    def send(self, number: int) -> None:
        """Send one."""


class CeleryProducer:
    """Sends through Celery, as an application does."""

    def __init__(self, url: str) -> None:
        self._celery = application(url)
        self._producer = self._celery.amqp.Producer(self._celery.connection_for_write().channel())

    def send(self, number: int, seconds: float = 0, *, task: str = "bench.noop") -> None:
        """Send one, which takes so many seconds."""
        self._celery.send_task(task, (number, seconds), producer=self._producer, ignore_result=True)

    def close(self) -> None:
        """Close the connection."""
        self._producer.connection.release()


@contextmanager
def producer(url: str) -> Iterator[Producer]:
    """A producer for a system's URL; those that are no brokers of Celery's have modules of their own."""
    kind, _, rest = url.partition(":")
    sending = import_module(f"bench.broker.on_{kind}").Producer(rest) if kind in OTHERS else CeleryProducer(url)
    try:
        yield sending
    finally:
        sending.close()
