"""Executions as Celery's tools see results: the row is the result, so that nothing is stored a second time."""

import json
from collections.abc import Callable
from typing import Any, Final

from celery import states
from celery.backends.base import BaseBackend
from celery.contrib.abortable import ABORTED

from app.executions import service
from app.executions.domain import Execution, Status
from app.identity import parse_id
from app.platform import Platform

#: What Celery calls our states.
STATES: Final = {
    Status.PENDING: states.PENDING,
    Status.RUNNING: states.STARTED,
    Status.COMPLETED: states.SUCCESS,
    Status.FAILED: states.FAILURE,
    Status.CANCELLED: states.REVOKED,
}


class RowResults(BaseBackend):  # type: ignore[misc]
    """Celery's result backend: the id of an execution is that of its task. Of other tasks nothing is known, which
    Celery calls PENDING.
    """

    def __init__(self, platform: Platform, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._platform = platform

    def _get_task_meta_for(self, task_id: str) -> dict[str, Any]:
        known = {"task_id": task_id, "status": states.PENDING, "result": None, "traceback": None, "children": []}
        execution_id = parse_id(task_id)
        if execution_id is not None:
            execution = service.even_hidden(self._platform, execution_id)
            if execution is None:
                return known
            known |= {"status": STATES[execution.status], "result": _result(execution)}
        meta: dict[str, Any] = self.meta_from_decoded(known)
        return meta

    def _store_result(self, task_id: str, _result: object, state: str, *_args: object, **_kwargs: object) -> None:
        """What a task returns is in its row already. Whoever wants a task to be aborted, or revokes one that waits, has
        its execution cancelled.
        """
        execution_id = parse_id(task_id)
        if state in {ABORTED, states.REVOKED} and execution_id is not None:
            service.cancel(self._platform, execution_id)


def results_of(platform: Platform) -> Callable[..., RowResults]:
    """What Celery makes its backend with, once in every thread that asks. It shows this to whoever inspects a worker's
    configuration, so it must not print as what it holds.
    """

    def backend(**kwargs: Any) -> RowResults:
        return RowResults(platform, **kwargs)

    return backend


def _result(execution: Execution) -> Any:
    match execution.status:
        case Status.COMPLETED:
            return json.loads(execution.output or "null")
        case Status.FAILED:
            return {"exc_type": execution.error_type, "exc_message": [execution.error_message], "exc_module": None}
        case Status.CANCELLED:
            return {"exc_type": "TaskRevokedError", "exc_message": ["cancelled"], "exc_module": "celery.exceptions"}
        case _:
            return None
