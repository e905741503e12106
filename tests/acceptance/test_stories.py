"""The stories that Kiln exists for, told over HTTP against real processes."""

import json
from collections.abc import Callable
from typing import Any

from pytest_celery import CeleryTestSetup, CeleryTestWorker

from tests.acceptance.conftest import Client
from tests.programs import ECHO, TRAP

SHOUT = "export function handle(input: string): string { return input.toUpperCase(); }"


def test_stories(kiln: Client, celery_setup: CeleryTestSetup, rows: Callable[..., list[Any]]) -> None:
    """One Kiln tells all of them: starting it takes longer than any story."""
    ready = kiln("GET", "/readyz").json()
    assert (ready["status"], ready["reasons"]) == ("UP", [])
    function_id = register_a_function(kiln)
    observe_compilation_outcome(kiln)
    execution_id = execute_a_function(kiln, function_id)
    inspect_execution_history(kiln, function_id, execution_id)
    debug_stuck_compilation(kiln, celery_setup, rows)


def register_a_function(kiln: Client) -> str:
    """A developer registers a function by sending source, and it becomes executable."""
    response = kiln("POST", "/functions", json={"name": "shout", "language": "assemblyscript", "source": SHOUT})
    assert (response.status_code, response.json()["status"]) == (201, "PENDING")
    function_id: str = response.json()["functionId"]
    assert kiln.compiled(function_id)["status"] == "READY"
    return function_id


def observe_compilation_outcome(kiln: Client) -> None:
    """A developer reads whether compilation succeeded, and where it failed."""
    source = "export function handle(input: string): string {\n  return input.shout();\n}"
    function = kiln.compiled(kiln.register("broken", "assemblyscript", source))
    assert function["status"] == "FAILED"
    assert function["compileError"].startswith("source.ts:2:16: TS2339: ")


def execute_a_function(kiln: Client, function_id: str) -> str:
    """A developer executes a READY function with JSON and gets JSON; others are refused."""
    headers = {"X-Correlation-Id": "story-3"}
    response = kiln("POST", f"/functions/{function_id}/execute", json={"input": "hello"}, headers=headers)
    execution: dict[str, Any] = response.json()
    assert response.status_code == 200, response.text
    assert (execution["status"], execution["output"], execution["correlationId"]) == ("COMPLETED", "HELLO", "story-3")
    trap = kiln.register("trap", "wat", TRAP)
    kiln.compiled(trap)
    failed = kiln("POST", f"/functions/{trap}/execute", json={})
    assert (failed.status_code, failed.json()["status"], failed.json()["errorType"]) == (200, "FAILED", "TRAP")
    execution_id: str = execution["id"]
    return execution_id


def inspect_execution_history(kiln: Client, function_id: str, execution_id: str) -> None:
    """A developer reads past executions to debug and verify."""
    listed = kiln("GET", f"/functions/{function_id}/executions").json()
    assert [item["id"] for item in listed["items"]] == [execution_id]
    execution = kiln("GET", f"/executions/{execution_id}").json()
    assert (execution["input"], execution["output"]) == ("hello", "HELLO")


def debug_stuck_compilation(kiln: Client, celery_setup: CeleryTestSetup, rows: Callable[..., list[Any]]) -> None:
    """An operator sees a backlog and whose it is: over HTTP, in SQL, and in the logs."""
    compile_worker, execute_worker = celery_setup.worker_cluster
    compile_worker.container.kill("SIGSTOP")
    function_id = kiln.register("stuck", "wat", ECHO)
    queue = next(item for item in kiln("GET", "/operations/queues").json()["items"] if item["name"] == "compile")
    assert queue["ready"] + queue["leased"] == 1
    messages = kiln("GET", "/operations/queues/compile/messages").json()["items"]
    assert [message["functionId"] for message in messages] == [function_id]
    assert rows("SELECT function_id::text FROM broker.messages WHERE queue = 'compile'") == [(function_id,)]
    compile_worker.container.kill("SIGCONT")
    assert kiln.compiled(function_id)["status"] == "READY"
    assert "version.compiled" in logged(compile_worker, "function_id", function_id)
    assert "execution.finished" in logged(execute_worker, "correlation_id", "story-3")


def logged(worker: CeleryTestWorker, name: str, value: str) -> set[str]:
    """The events that a worker logged about something."""
    lines = [json.loads(line) for line in worker.logs().splitlines() if line.startswith("{")]
    return {line["event"] for line in lines if line.get(name) == value}
