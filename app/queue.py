"""The two queues: which tasks there are, how a message is made, and how it is written inside the caller's transaction.

`app` enqueues by name and never imports `tasks`. Messages are Celery's protocol 2, so any Celery worker reads them.
"""

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

import orjson
from celery import Celery
from sqlalchemy.orm import Session

from app.broker import (
    Delivery,
    Place,
    addressed_to,
    publishing_statements,
    register_transport,
    release,
    statements,
)
from app.broker.bootsteps import add_bootsteps
from app.broker.delivery import SETTLED_BY_TASK

#: Raised when the shape of our messages changes; a worker gives back what it does not know.
MESSAGE_SCHEMA = 1

#: What the platform failed to do is tried again after 1, 4, 16, … seconds.
_BACKOFF_BASE = 4

_ORIGIN = f"{os.getpid()}@{socket.gethostname()}"


class Queue(StrEnum):
    """A queue and its pool of workers."""

    COMPILE = "compile"
    EXECUTE = "execute"


#: How long a worker that was told to stop works on.
DRAIN_SECONDS = {Queue.EXECUTE: 30.0, Queue.COMPILE: 120.0}


class Task(StrEnum):
    """Stable names of what workers do."""

    COMPILE = "functions.compile"
    VERIFY = "functions.verify"
    EXECUTE = "executions.run"


#: 9 is claimed first. What somebody waits for is more urgent by one.
URGENT, BACKGROUND, UNHURRIED = 8, 3, 1


def message(
    task: Task, queue: Queue, *, message_id: str, priority: int, correlation_id: str, ids: Mapping[str, Any]
) -> str:
    """A message as kombu stores it. It names rows by id and carries neither code nor input nor secrets.

    `message_id` is the Celery task id: the execution's own for executions.
    """
    payload = {
        "body": orjson.dumps([[], ids, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]).decode(),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {
            "lang": "py",
            "task": task,
            "id": message_id,
            "root_id": message_id,
            "parent_id": None,
            "group": None,
            "argsrepr": "()",
            "kwargsrepr": repr(dict(ids)),
            "origin": _ORIGIN,
            "retries": 0,
            "schema": MESSAGE_SCHEMA,
            "correlation": correlation_id,
        },
        "properties": {
            "correlation_id": message_id,
            "delivery_mode": 2,
            "priority": priority,
            "body_encoding": "utf-8",
            "delivery_info": {"exchange": "", "routing_key": queue},
            SETTLED_BY_TASK: True,
        },
    }
    return orjson.dumps(payload).decode()


def enqueue(session: Session, queue: Queue, payload: str, *, function_id: str, place: Place) -> None:
    """Write a message through the caller's transaction, whose commit wakes the consumers."""
    parameters = addressed_to(queue, place) | {
        "delay": timedelta(0),
        "ttl": None,
        "undeclared_ttl": None,
        "function_id": function_id,
        "execution_id": None,
        "payload": payload,
    }
    session.connection().exec_driver_sql(publishing_statements.PUBLISH, parameters)


def set_places(session: Session, function_id: UUID, places: int | None) -> None:
    """How many messages of a function may be under way at a time, of those that are gated; none for any number."""
    statement = statements.OPEN_GATE if places is None else statements.SET_GATE
    session.connection().exec_driver_sql(statement, {"function_id": function_id, "places": places})


def settle(session: Session, delivery: Delivery) -> bool:
    """Delete the message in the caller's transaction; False when the lease was lost and the caller's result must not
    stand.
    """
    parameters = {"message_id": delivery.message_id, "token": delivery.token}
    return session.connection().exec_driver_sql(statements.SETTLE, parameters).rowcount == 1


def put_off(session: Session, delivery: Delivery, *, seconds: float) -> None:
    """Give a message back in the caller's transaction, for later; nothing is counted against it."""
    connection: Any = session.connection().connection.driver_connection
    release(connection, delivery, delay_seconds=seconds)


def backoff_seconds(failures: int) -> int:
    """When a message is to be tried again with which the platform has failed so many times."""
    return int(_BACKOFF_BASE ** (failures - 1))


def consumes(consumer: Any, queue: Queue) -> bool:
    """Whether a worker, seen as Celery's consumer, takes messages from a queue."""
    return queue in consumer.task_consumer.channel.active_queues


def create_celery(
    broker_url: str,
    *,
    lease_seconds: int,
    on_claim: Mapping[str, str],
    on_dead: Sequence[str],
    on_expired: Sequence[str] = (),
    on_released: Sequence[str] = (),
    results: Callable[..., Any] | None = None,
    child_max_tasks: int | None = None,
    child_max_memory_mb: int | None = None,
) -> Celery:
    """The Celery application of our workers and of every Celery tool.

    `on_claim` maps a queue to the SQL that runs inside its claim, `on_dead`, `on_expired` and `on_released` are what
    runs when messages are set aside, their time is over, or a worker that stops gives them back (see `app.broker`).
    `results` makes what answers for results, a backend of Celery's. A worker's child that has done as many tasks, or
    has had as much memory, is replaced once it is free.
    """
    register_transport()
    celery = Celery("kiln", set_as_current=True)
    celery.conf.update(
        broker_url=broker_url,
        broker_transport_options={
            "lease_seconds": lease_seconds,
            "on_claim": dict(on_claim),
            "on_dead": list(on_dead),
            "on_expired": list(on_expired),
            "on_released": list(on_released),
            "drain_seconds": {str(queue): seconds for queue, seconds in DRAIN_SECONDS.items()},
            "message_schema": MESSAGE_SCHEMA,
            # What is claimed is RUNNING, so nothing is claimed before a child is free for it.
            "read_ahead": 0,
        },
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        # One message per free child: a message in hand is a message at work, so attempts are counted right.
        worker_prefetch_multiplier=1,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        # The row is the result.
        task_ignore_result=True,
        result_backend=results,
        task_serializer="json",
        accept_content=["json"],
        task_default_queue=Queue.EXECUTE.value,
        task_create_missing_queues=True,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        # Kept in the database: see `app.broker.events`.
        worker_send_task_events=True,
        worker_max_tasks_per_child=child_max_tasks,
        # In KiB; what is compared with it is the most that was ever resident.
        worker_max_memory_per_child=None if child_max_memory_mb is None else child_max_memory_mb << 10,
        # A child that is slow to start on a busy machine is not dead.
        worker_proc_alive_timeout=30,
        enable_utc=True,
    )
    add_bootsteps(celery)
    return celery
