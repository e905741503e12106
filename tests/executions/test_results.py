"""What Celery's own tools learn of executions, and what they may do to them."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from celery import Celery, states
from celery.contrib.abortable import AbortableAsyncResult
from celery.exceptions import TaskRevokedError
from celery.result import AsyncResult
from flask.testing import FlaskClient

from app.executions.results import results_of
from app.identity import new_id
from app.platform import Platform
from app.queue import Queue, Task, create_celery
from tests.api.answers import registered_ready
from tests.programs import ECHO, TRAP
from tests.workbench import Workbench

Rows = Callable[..., list[Any]]


@pytest.fixture
def celery(platform: Platform) -> Celery:
    """The Celery application, of which only results are asked."""
    url, results = platform.settings.database_url, results_of(platform)
    return create_celery(url, lease_seconds=15, on_claim={}, on_dead=[], results=results)


def accepted(client: FlaskClient, workbench: Workbench, source: str = ECHO) -> str:
    """The id of an execution that waits for a worker."""
    function_id = registered_ready(client, workbench, source=source)["id"]
    headers = {"Prefer": "respond-async"}
    execution = client.post(f"/functions/{function_id}/execute", json={"input": {"a": [1]}}, headers=headers)
    execution_id: str = execution.get_json()["id"]
    return execution_id


def test_the_row_is_the_result(celery: Celery, client: FlaskClient, workbench: Workbench) -> None:
    execution_id = accepted(client, workbench)
    result = AsyncResult(execution_id, app=celery)
    assert (result.state, result.result) == (states.PENDING, None)
    message = workbench.claim(Queue.EXECUTE)
    assert message is not None
    assert result.state == states.STARTED
    workbench.work(message)
    assert (result.state, result.get(timeout=5)) == (states.SUCCESS, {"a": [1]})


def test_a_failed_execution_is_a_failed_task(celery: Celery, client: FlaskClient, workbench: Workbench) -> None:
    result = AsyncResult(accepted(client, workbench, TRAP), app=celery)
    workbench.drain()
    assert result.state == states.FAILURE
    assert type(result.result).__name__ == "TRAP"


def test_of_other_tasks_nothing_is_known(celery: Celery) -> None:
    for task_id in (str(new_id()), "nightly"):
        result = AsyncResult(task_id, app=celery)
        assert (result.state, result.result) == (states.PENDING, None)
        AbortableAsyncResult(task_id, app=celery).abort()


def test_an_aborted_task_is_a_cancelled_execution(
    celery: Celery, client: FlaskClient, workbench: Workbench, rows: Rows
) -> None:
    result = AbortableAsyncResult(accepted(client, workbench), app=celery)
    result.abort()
    assert client.get(f"/executions/{result.id}").get_json()["status"] == "CANCELLED"
    assert rows("SELECT FROM broker.messages") == []
    assert isinstance(result.result, TaskRevokedError)


def test_what_is_cancelled_while_it_runs_has_no_other_end(
    celery: Celery, client: FlaskClient, workbench: Workbench, rows: Rows
) -> None:
    execution_id = accepted(client, workbench)
    message = workbench.claim(Queue.EXECUTE)
    AbortableAsyncResult(execution_id, app=celery).abort()
    assert message is not None
    workbench.work(message)
    body = client.get(f"/executions/{execution_id}").get_json()
    assert (body["status"], body["output"]) == ("CANCELLED", None)


def test_whoever_waits_learns_of_the_cancellation(
    celery: Celery, client: FlaskClient, workbench: Workbench, rows: Rows
) -> None:
    function_id = registered_ready(client, workbench)["id"]
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(client.post, f"/functions/{function_id}/execute", json={})
        while not (found := rows("SELECT id::text FROM executions WHERE waiter IS NOT NULL")):
            time.sleep(0.01)
        began = time.monotonic()
        AbortableAsyncResult(found[0][0], app=celery).abort()
        assert waiting.result(timeout=10).get_json()["status"] == "CANCELLED"
    assert time.monotonic() - began < 1


def test_a_task_sent_by_hand_ends_nobody_elses_execution(
    client: FlaskClient, workbench: Workbench, platform: Platform, rows: Rows
) -> None:
    # Given an execution that runs
    execution_id = accepted(client, workbench)
    message = workbench.claim(Queue.EXECUTE)
    assert message is not None
    # When somebody sends the task for it once more, with Flower or `celery call`
    celery = create_celery(platform.settings.database_url, lease_seconds=15, on_claim={}, on_dead=[])
    celery.send_task(Task.EXECUTE, kwargs={"execution_id": execution_id}, queue=Queue.EXECUTE)
    workbench.drain()
    # Then nothing has happened to it
    workbench.work(message)
    assert client.get(f"/executions/{execution_id}").get_json()["status"] == "COMPLETED"
    assert rows("SELECT FROM broker.messages") == []
