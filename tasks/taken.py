"""Celery's events of executions that a child took along: the main process, which sends those of the others, has not
seen them.
"""

import os
import time
from typing import Any

import orjson
from celery import Celery
from celery.signals import worker_process_shutdown
from celery.utils.time import utcoffset

from app.broker.events import EventWriter
from app.executions.domain import Finish
from app.executions.queries import Claimed
from app.queue import Task


class TakenAlong:
    """Appends to the log of events, beside the children's work."""

    def __init__(self, celery: Celery, url: str) -> None:
        self._celery = celery
        self._writer = EventWriter(url, "celeryev")
        worker_process_shutdown.connect(self._close, weak=False)

    def ended(self, request: Any, claimed: Claimed, end: Finish) -> None:
        """Tell what Celery would have told of an execution that ended just now. `request` is that of the task that took
        it along.
        """
        if not self._celery.conf.worker_send_task_events or str(claimed.execution_id) == request.id:
            return
        now, seconds = time.time(), (end.duration_ms or 0.0) / 1000
        common = {
            "uuid": str(claimed.execution_id),
            "hostname": request.hostname,
            "pid": os.getppid(),
            "utcoffset": utcoffset(),
        }
        events = (
            self._received(claimed) | {"timestamp": now - seconds},
            {"type": "task-started", "timestamp": now - seconds},
            {"type": "task-succeeded", "timestamp": now, "result": "None", "runtime": seconds},
        )
        told = [event | common | {"clock": self._celery.clock.forward()} for event in events]
        self._writer.append(orjson.dumps(told).decode())

    def _received(self, claimed: Claimed) -> dict[str, Any]:
        execution_id = str(claimed.execution_id)
        return {
            "type": "task-received",
            "name": Task.EXECUTE,
            "args": "()",
            "kwargs": repr({"execution_id": execution_id}),
            "root_id": execution_id,
            "parent_id": None,
            "retries": 0,
            "eta": None,
            "expires": None,
        }

    def _close(self, **_kwargs: object) -> None:
        self._writer.close()
