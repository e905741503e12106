"""The Celery application that every broker is measured with: a task that does nothing but say when it began, and one
that says when it is done.

BENCH_BROKER is the broker's URL. BENCH_STARTS is the file to which each task appends its number and the nanoseconds of
CLOCK_MONOTONIC, a clock that all processes share; beside it a file `ready` appears when the worker is.
"""

import os
import struct
import time
from pathlib import Path
from typing import Any

from celery import Celery, signals
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from app.broker import register_transport
from app.broker.bootsteps import add_bootsteps

RECORD = struct.Struct("<qq")

#: What Celery leaves at its defaults stays there, so that every broker does the same work.
SAME_FOR_ALL = {
    "task_ignore_result": True,
    "worker_hijack_root_logger": False,
    "broker_connection_retry_on_startup": True,
    "task_default_queue": "bench",
}


def application(url: str) -> Celery:
    """The application for one broker. pgmq's transport is told its database by an option, not by its URL."""
    celery = Celery("bench", set_as_current=True)
    celery.conf.update(SAME_FOR_ALL, broker_url=url)
    if url.startswith("postgresql://"):
        register_transport()
        add_bootsteps(celery)
    if url.startswith("pgmq:"):
        options = {"conn_string": _in_words(url.removeprefix("pgmq:")), "init_extension": False}
        options |= {"use_notify": True, "wait_time_seconds": 0}
        celery.conf.update(broker_url="pgmq://", broker_transport_options=options)
    return celery


def _in_words(url: str) -> str:
    return make_conninfo(**{name: str(value) for name, value in conninfo_to_dict(url).items()})


app = application(os.environ.get("BENCH_BROKER", "memory://"))
_starts = -1


@signals.worker_init.connect
def _open(**_kwargs: Any) -> None:
    global _starts  # noqa: PLW0603 - opened before the pool forks, so that every child appends to one file
    _starts = os.open(os.environ["BENCH_STARTS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


@signals.worker_ready.connect
def _ready(**_kwargs: Any) -> None:
    Path(os.environ["BENCH_STARTS"]).with_name("ready").touch()


@app.task(name="bench.noop")
def noop(number: int, seconds: float = 0) -> None:
    """Say that it began; sleep where work is wanted."""
    os.write(_starts, RECORD.pack(number, time.monotonic_ns()))
    if seconds:
        time.sleep(seconds)


@app.task(name="bench.work", acks_late=True)
def work(number: int, seconds: float) -> None:
    """Take so long, then say that it is done; its message goes after that."""
    time.sleep(seconds)
    os.write(_starts, RECORD.pack(number, time.monotonic_ns()))
