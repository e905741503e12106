"""Work that nobody waits for, done by real workers in groups: nothing of it is lost, and it stands in nobody's way."""

from collections.abc import Callable
from typing import Any

from pytest_celery import CeleryTestSetup

from tests.acceptance.conftest import Client
from tests.patience import until
from tests.programs import ECHO

Rows = Callable[..., list[Any]]

#: Quick enough for groups, slow enough to be killed in the midst of one: counts for about a millisecond.
BRIEF = """
(module
  (memory (export "memory") 2)
  (func (export "alloc") (param $n i32) (result i32) (i32.const 1024))
  (func (export "handle") (param $p i32) (param $n i32) (result i64)
    (local $i i64)
    (loop $again
      (local.set $i (i64.add (local.get $i) (i64.const 1)))
      (br_if $again (i64.lt_u (local.get $i) (i64.const 3000000))))
    (i64.or (i64.shl (i64.extend_i32_u (local.get $p)) (i64.const 32)) (i64.extend_i32_u (local.get $n)))))
"""


def batch(kiln: Client, function_id: str, count: int) -> list[str]:
    """The ids of executions that nobody waits for; their inputs are their numbers."""
    response = kiln("POST", f"/functions/{function_id}/execute-batch", json={"inputs": list(range(count))})
    assert response.status_code == 202, response.text
    ids: list[str] = response.json()["executionIds"]
    return ids


def done(rows: Rows) -> int:
    """How many have ended."""
    count: int = rows("SELECT count(*) FROM executions WHERE status = 'COMPLETED'")[0][0]
    return count


def test_children_killed_in_the_midst_of_groups_lose_nothing(
    kiln: Client, celery_setup: CeleryTestSetup, rows: Rows
) -> None:
    function_id = kiln.register("brief", "wat", BRIEF)
    kiln.compiled(function_id)
    ids = batch(kiln, function_id, 1000)
    _, execute_worker = celery_setup.worker_cluster
    # When one child after the other is killed while it has a group in hand
    for least in (50, 200, 350, 500):
        until(lambda least=least: done(rows) >= least, seconds=30)  # type: ignore[misc]
        max(execute_worker.container.children, key=lambda child: child.cpu_times().user).kill()
    # Then every execution ends once and as it should, and none has more attempts than there were kills
    until(lambda: done(rows) == 1000, seconds=60)
    found = rows("SELECT id::text, output::text FROM executions ORDER BY id")
    assert found == [(each, str(number)) for number, each in enumerate(ids)]
    assert {attempts for (attempts,) in rows("SELECT DISTINCT attempts FROM executions")} <= {1, 2, 3}
    assert rows("SELECT FROM broker.messages WHERE queue = 'execute'") == []
    assert rows("SELECT FROM broker.dead") == []


def test_a_worker_told_to_stop_leaves_nothing_of_a_group_behind(
    kiln: Client, celery_setup: CeleryTestSetup, rows: Rows
) -> None:
    function_id = kiln.register("brief", "wat", BRIEF)
    kiln.compiled(function_id)
    batch(kiln, function_id, 1000)
    _, execute_worker = celery_setup.worker_cluster
    until(lambda: done(rows) > 50, seconds=30)
    execute_worker.container.process.terminate()
    # A child whose last result its worker overlooked waits half a minute before it ends, with nothing in its hands
    until(lambda: execute_worker.container.status == "exited", seconds=60)
    assert rows("SELECT FROM broker.messages WHERE state = 'leased'") == []
    assert dict(rows("SELECT status, sum(attempts) FROM executions GROUP BY status")) == {
        "COMPLETED": done(rows),
        "PENDING": 0,
    }


def test_who_waits_does_not_stand_behind_a_batch(kiln: Client, rows: Rows) -> None:
    brief, echo = kiln.register("brief", "wat", BRIEF), kiln.register("echo", "wat", ECHO)
    for function_id in (brief, echo):
        kiln.compiled(function_id)
    batch(kiln, brief, 1000)
    until(lambda: done(rows) > 50, seconds=30)
    for number in range(10):
        assert kiln("POST", f"/functions/{echo}/execute", json={"input": number}).json()["output"] == number
    assert rows("SELECT FROM executions WHERE status = 'PENDING' LIMIT 1")


def test_what_is_done_in_groups_is_told_as_if_it_were_done_singly(
    kiln: Client, celery_setup: CeleryTestSetup, rows: Rows
) -> None:
    function_id = kiln.register("echo", "wat", ECHO)
    kiln.compiled(function_id)
    ids = batch(kiln, function_id, 100)
    until(lambda: done(rows) == 100, seconds=30)
    told = "SELECT task_id, string_agg(type, ' ' ORDER BY id) FROM broker.events WHERE task_id = ANY(%s) GROUP BY 1"
    as_ever = dict.fromkeys(ids, "task-received task-started task-succeeded")
    until(lambda: dict(rows(told, ids)) == as_ever, seconds=30)
    _, execute_worker = celery_setup.worker_cluster
    logged = execute_worker.container.logs()
    assert all(f'"execution_id": "{each}"' in logged for each in ids)
