"""Nothing accepted is ever lost: workers are killed in the middle of their work, and it is done by the next one."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pytest_celery import CeleryTestSetup

from tests.acceptance.conftest import Client
from tests.acceptance.processes import LocalProcess
from tests.patience import until
from tests.programs import ECHO, LOOP

Rows = Callable[..., list[Any]]

#: Long enough to be killed in, short enough to wait for: counts for about a second.
SLOW = """
(module
  (memory (export "memory") 2)
  (func (export "alloc") (param $n i32) (result i32) (i32.const 1024))
  (func (export "handle") (param $p i32) (param $n i32) (result i64)
    (local $i i64)
    (loop $again
      (local.set $i (i64.add (local.get $i) (i64.const 1)))
      (br_if $again (i64.lt_u (local.get $i) (i64.const 3000000000))))
    (i64.or (i64.shl (i64.extend_i32_u (local.get $p)) (i64.const 32)) (i64.extend_i32_u (local.get $n)))))
"""


def test_a_killed_worker_gives_its_execution_to_the_next(
    kiln: Client, celery_setup: CeleryTestSetup, new_worker: Callable[..., LocalProcess], rows: Rows
) -> None:
    # Given an execution that a worker has started and a client waits for
    function_id = kiln.register("slow", "wat", SLOW, limits={"timeoutMs": 30_000})
    kiln.compiled(function_id)
    _, execute_worker = celery_setup.worker_cluster
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(kiln, "POST", f"/functions/{function_id}/execute", json={"input": 7})
        until(lambda: rows("SELECT FROM executions WHERE status = 'RUNNING'"), seconds=30)
        # When the whole worker is killed and another one comes
        execute_worker.kill("SIGKILL", reload_container=False)
        new_worker("execute", "second")
        response = waiting.result(timeout=60)
    # Then it is attempt 2 that answers the client
    assert response.status_code == 200, response.text
    body = response.json()
    assert (body["status"], body["output"], body["attempts"]) == ("COMPLETED", 7, 2)
    assert rows("SELECT FROM broker.messages WHERE queue = 'execute'") == []


def test_a_killed_child_costs_one_attempt_and_never_the_worker(
    kiln: Client, celery_setup: CeleryTestSetup, rows: Rows
) -> None:
    echo = kiln.register("echo", "wat", ECHO)
    kiln.compiled(echo)
    _, execute_worker = celery_setup.worker_cluster
    # When every idle child is killed, one after the other
    for child in execute_worker.container.children:
        child.kill()
        time.sleep(0.3)
    # Then the next executions run as ever
    outputs = [kiln("POST", f"/functions/{echo}/execute", json={"input": n}).json()["output"] for n in range(20)]
    assert outputs == list(range(20))
    # And when a busy child is killed, the execution that it ran is run again
    slow = kiln.register("slow", "wat", SLOW, limits={"timeoutMs": 30_000})
    kiln.compiled(slow)
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(kiln, "POST", f"/functions/{slow}/execute", json={"input": 7})
        until(lambda: rows("SELECT FROM executions WHERE status = 'RUNNING'"), seconds=30)
        time.sleep(0.2)
        max(execute_worker.container.children, key=lambda child: child.cpu_times().user).kill()
        body = waiting.result(timeout=60).json()
    assert (body["status"], body["output"], body["attempts"]) == ("COMPLETED", 7, 2)


def test_a_killed_compile_worker_gives_its_compilation_to_the_next(
    kiln: Client, celery_setup: CeleryTestSetup, new_worker: Callable[..., LocalProcess], rows: Rows
) -> None:
    compile_worker, _ = celery_setup.worker_cluster
    source = "export function handle(input: string): string { return input; }"
    function_id = kiln.register("echo", "assemblyscript", source)
    until(lambda: rows("SELECT FROM versions WHERE status = 'COMPILING'"), seconds=30)
    compile_worker.kill("SIGKILL", reload_container=False)
    new_worker("compile", "second")
    assert kiln.compiled(function_id)["status"] == "READY"
    assert rows("SELECT compile_attempts FROM versions") == [(2,)]
    assert rows("SELECT FROM broker.messages WHERE queue = 'compile'") == []


def test_an_execution_that_always_takes_its_worker_down_is_ended(
    kiln: Client, celery_setup: CeleryTestSetup, rows: Rows
) -> None:
    function_id = kiln.register("loop", "wat", LOOP, limits={"timeoutMs": 60_000})
    kiln.compiled(function_id)
    _, execute_worker = celery_setup.worker_cluster
    response = kiln("POST", f"/functions/{function_id}/execute", json={}, headers={"Prefer": "respond-async"})
    for attempt in (1, 2, 3):
        until(lambda attempt=attempt: rows("SELECT FROM executions WHERE attempts = %s", attempt), seconds=30)  # type: ignore[misc]
        time.sleep(0.3)
        max(execute_worker.container.children, key=lambda child: child.cpu_times().user).kill()
    until(lambda: rows("SELECT FROM executions WHERE status = 'FAILED'"), seconds=30)
    body = kiln("GET", response.headers["Location"]).json()
    assert (body["errorType"], body["attempts"]) == ("WORKER_LOST", 3)
    assert rows("SELECT reason, execution_id::text FROM broker.dead") == [("worker_lost", body["id"])]


def test_a_worker_told_to_stop_finishes_what_it_runs(kiln: Client, celery_setup: CeleryTestSetup, rows: Rows) -> None:
    function_id = kiln.register("slow", "wat", SLOW, limits={"timeoutMs": 30_000})
    kiln.compiled(function_id)
    _, execute_worker = celery_setup.worker_cluster
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(kiln, "POST", f"/functions/{function_id}/execute", json={"input": 7})
        until(lambda: rows("SELECT FROM executions WHERE status = 'RUNNING'"), seconds=30)
        execute_worker.container.process.terminate()
        body = waiting.result(timeout=60).json()
    assert (body["status"], body["attempts"]) == ("COMPLETED", 1)


def test_what_is_deleted_while_it_runs_gives_its_place_to_others(kiln: Client) -> None:
    # Given a function whose executions occupy every child of the worker
    hogs, quick = kiln.register("hog", "wat", LOOP, limits={"timeoutMs": 60_000}), kiln.register("quick", "wat", ECHO)
    kiln.compiled(hogs)
    kiln.compiled(quick)
    for _ in range(2):
        kiln("POST", f"/functions/{hogs}/execute", json={}, headers={"Prefer": "respond-async"})
    until(lambda: len(kiln("GET", "/executions?status=RUNNING").json()["items"]) == 2, seconds=30)
    # When it is deleted
    assert kiln("DELETE", f"/functions/{hogs}").status_code == 204
    # Then others need not wait for its time limit
    body = kiln("POST", f"/functions/{quick}/execute", json={"input": 1}, headers={"Prefer": "wait=10"}).json()
    assert body["status"] == "COMPLETED"
    assert body["queueMs"] < 5_000
