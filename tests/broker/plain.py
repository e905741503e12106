"""A Celery application as anybody writes one: it knows the transport and nothing of Kiln."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import psycopg
from celery import Celery

from app.broker import Delivery, register_transport, settle
from app.broker.bootsteps import add_bootsteps


def create(url: str, *, results: str = "rpc://") -> Celery:
    """The application with its tasks. What those at work write goes to the table `journal`."""
    register_transport()
    celery = Celery("plain", broker=url, backend=results, set_as_current=False)
    celery.conf.broker_transport_options = {"lease_seconds": 1}
    _calculate(celery)
    _work(celery, url)
    return celery


@contextmanager
def client(url: str, *, results: str = "rpc://") -> Iterator[Celery]:
    """The application for whoever sends, with the connection over which answers come closed in the end."""
    with create(url, results=results) as celery:
        yield celery
        answers = getattr(celery.backend, "result_consumer", None)
        if answers is not None and answers._consumer is not None:
            answers.stop()


def _calculate(celery: Celery) -> None:
    task: Any = partial(celery.task, shared=False)

    @task(name="add")
    def add(left: int, right: int) -> int:
        return left + right

    @task(name="total")
    def total(numbers: list[int]) -> int:
        return sum(numbers)

    @task(name="second_time_lucky", bind=True, max_retries=2)
    def second_time_lucky(self: Any) -> int:
        if self.request.retries == 0:
            raise self.retry(countdown=1)
        return int(self.request.retries)

    @task(name="unhurried", rate_limit="10/s")
    def unhurried() -> float:
        return time.time()


def _work(celery: Celery, url: str) -> None:
    task: Any = partial(celery.task, shared=False, ignore_result=True)

    def at_work(line: str, seconds: float) -> None:
        with psycopg.connect(url) as connection:
            _write(connection, line)
        time.sleep(seconds)

    @task(name="nap")
    def nap(seconds: float) -> None:
        """Acknowledged before it begins."""
        at_work("napped", seconds)

    @task(name="work", acks_late=True, reject_on_worker_lost=True)
    def work(seconds: float) -> None:
        """Acknowledged when it is done."""
        at_work("worked", seconds)

    @task(name="settled", bind=True, acks_late=True)
    def settled(self: Any) -> None:
        """Writes a row and settles its message: both or neither."""
        with psycopg.connect(url) as connection:
            _write(connection, "settled")
            settle(connection, Delivery.of(self.request.properties))


def _write(connection: "psycopg.Connection[Any]", line: str) -> None:
    connection.execute("INSERT INTO journal (line) VALUES (%s)", (line,))


if "PLAIN_BROKER_URL" in os.environ:  # In a worker.
    app = create(os.environ["PLAIN_BROKER_URL"], results=os.environ["PLAIN_RESULTS"])
    if "PLAIN_STEPS" in os.environ:
        add_bootsteps(app)
