"""Celery's own tools work on this broker as on any other."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from celery import Celery
from pytest_celery import CeleryTestSetup

from tests.acceptance.conftest import PASSWORD, Client
from tests.acceptance.processes import LocalProcess
from tests.patience import until
from tests.programs import ECHO, LOOP

Rows = Callable[..., list[Any]]


def test_operators_look_and_steer(
    kiln: Client, celery_setup: CeleryTestSetup, celery_setup_app: Celery, environment: dict[str, str], rows: Rows
) -> None:
    """One pair of workers answers all of them: starting it takes longer than any."""
    nodes = [row[0] for row in rows("SELECT node FROM broker.consumers WHERE node IS NOT NULL ORDER BY node")]
    assert [node.partition("@")[0] for node in nodes] == ["compile", "execute"]
    inspect, control = celery_setup_app.control.inspect(timeout=3), celery_setup_app.control

    assert sorted(inspect.ping()) == nodes
    assert set(inspect.registered()[nodes[1]]) == {"executions.run", "functions.compile", "functions.verify"}
    assert inspect.active()[nodes[1]] == inspect.reserved()[nodes[1]] == []
    stats = inspect.stats()[nodes[1]]
    assert stats["pool"]["max-concurrency"] == 2
    assert PASSWORD not in str([stats, inspect.conf()])
    assert inspect.query_task("nothing")[nodes[1]] == {}

    only = {"destination": [nodes[1]], "reply": True, "timeout": 3}
    for reply in (
        control.rate_limit("executions.run", "1000/s", **only),
        control.time_limit("executions.run", soft=300, hard=400, **only),
        control.pool_grow(1, **only),
        control.pool_shrink(1, **only),
        control.add_consumer("extra", **only),
        control.cancel_consumer("extra", **only),
    ):
        assert "ok" in reply[0][nodes[1]], reply

    # What happens is kept, and dumped live.
    environment = {"PATH": "", **environment}
    command = [sys.executable, "-W", "ignore", "-m", "celery", "-A", "worker", "events", "--dump"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as dump:
        assert dump.stdout is not None
        until(lambda: rows("SELECT FROM broker.bindings WHERE exchange = 'celeryev'"))
        function_id = kiln.register("echo", "wat", ECHO)
        kiln.compiled(function_id)
        execution = kiln("POST", f"/functions/{function_id}/execute", json={"input": 1}).json()
        until(lambda: len(kept(kiln, execution["id"])) == 3)
        time.sleep(1)
        dump.terminate()
        said = dump.stdout.read().decode()
    assert kept(kiln, execution["id"]) == ["task-succeeded", "task-started", "task-received"]
    assert execution["id"] in said

    # A worker that is told to end ends, and says so.
    control.broadcast("shutdown", destination=[nodes[0]])
    until(lambda: not rows("SELECT FROM broker.consumers WHERE node = %s", nodes[0]))


def test_what_is_revoked_ends(kiln: Client, celery_setup_app: Celery, environment: dict[str, str], rows: Rows) -> None:
    """Whether it runs or waits, a revoked task leaves no row without an end and no message."""
    control, hour = celery_setup_app.control, {"timeoutMs": 60_000}
    loop, echo = kiln.register("loop", "wat", LOOP, limits=hour), kiln.register("echo", "wat", ECHO)
    kiln.compiled(loop)
    kiln.compiled(echo)

    # Given two executions that run for ever, and one that waits for their place
    later = {"headers": {"Prefer": "respond-async"}, "json": {}}
    with ThreadPoolExecutor() as threads:
        first = threads.submit(kiln, "POST", f"/functions/{loop}/execute", json={})
        until(lambda: running(rows) == 1)
        hog = running_ids(rows)[0]
        second = kiln("POST", f"/functions/{loop}/execute", **later).json()["id"]
        until(lambda: running(rows) == 2)
        waiting = kiln("POST", f"/functions/{echo}/execute", **later).json()["id"]

        # When the one that waits is revoked, it has ended before anybody began with it
        control.revoke(waiting)
        until(lambda: kiln("GET", f"/executions/{waiting}").json()["status"] == "CANCELLED")
        assert kiln("GET", f"/executions/{waiting}").json()["attempts"] == 0

        # When those that run are revoked, they go on unless they are to be terminated
        control.revoke([hog, second])
        time.sleep(1)
        assert running(rows) == 2
        control.revoke([hog, second], terminate=True)
        body = first.result(timeout=5).json()
    assert (body["status"], body["errorType"], body["attempts"]) == ("CANCELLED", None, 1)
    until(lambda: kept(kiln, second)[:1] == ["task-revoked"])
    assert rows("SELECT status FROM executions WHERE id = %s", second) == [("CANCELLED",)]
    assert rows("SELECT FROM broker.messages WHERE queue = 'execute'") == []

    # Then others have their places
    last = kiln("POST", f"/functions/{echo}/execute", json={"input": 7}).json()
    assert last["output"] == 7
    assert celery(f"result {last['id']}", environment) == "7\n"

    # A compilation that is terminated has failed, and says why.
    source = "export function handle(input: string): string { return input; }"
    stopped = kiln.register("stopped", "assemblyscript", source)
    until(lambda: rows("SELECT FROM versions WHERE status = 'COMPILING'"))
    ((task,),) = rows("SELECT payload #>> '{headers,id}' FROM broker.messages WHERE queue = 'compile'")
    control.revoke(task, terminate=True)
    assert "an operator stopped the compilation" in kiln.compiled(stopped)["compileError"]
    assert rows("SELECT FROM broker.messages WHERE queue = 'compile'") == []
    again = kiln("PUT", f"/functions/{stopped}", json={"language": "assemblyscript", "source": f"{source} // again"})
    assert again.status_code == 200, again.text
    assert kiln.compiled(stopped)["status"] == "READY"


def test_workers_that_mingle_and_gossip_know_each_other(
    kiln: Client, environment: dict[str, str], new_worker: Callable[..., LocalProcess]
) -> None:
    one, two = (new_worker("execute", name, options=(), KILN_LOG_LEVEL="debug") for name in ("one", "two"))
    assert "mingle: sync with 3 nodes" in two.logs()
    until(lambda: "two@" in joined(one) and "one@" in joined(two))
    said = celery("status", environment)
    assert said.count("OK") == 4
    assert "4 nodes online." in said
    function_id = kiln.register("echo", "wat", ECHO)
    kiln.compiled(function_id)
    outputs = [kiln("POST", f"/functions/{function_id}/execute", json={"input": n}).json()["output"] for n in range(20)]
    assert outputs == list(range(20))


def test_workers_of_one_command_are_steered_apart(
    celery_setup: CeleryTestSetup, celery_setup_app: Celery, new_worker: Callable[..., LocalProcess]
) -> None:
    first, second = new_worker("execute", "twin"), new_worker("execute", "twin")
    inspect, host = celery_setup_app.control.inspect(timeout=2), socket.gethostname()
    assert {f"twin@{host}", f"twin@{host}-2"} < set(inspect.ping())
    first.teardown()
    assert f"twin@{host}-2" in inspect.ping()
    assert f"twin@{host}" not in inspect.ping()
    assert second.status == "running"


def joined(worker: LocalProcess) -> str:
    """What a worker said about others that joined it."""
    return "".join(line for line in worker.logs().splitlines() if "joined the party" in line)


def celery(command: str, environment: dict[str, str]) -> str:
    """What one of Celery's commands says."""
    argv = [sys.executable, "-W", "ignore", "-m", "celery", "-A", "worker", *command.split()]
    return subprocess.run(argv, env={"PATH": "", **environment}, check=True, capture_output=True, text=True).stdout


def running_ids(rows: Rows) -> list[str]:
    """The executions in workers' hands."""
    return [row[0] for row in rows("SELECT id::text FROM executions WHERE status = 'RUNNING' ORDER BY id")]


def running(rows: Rows) -> int:
    """How many executions are in workers' hands."""
    return len(running_ids(rows))


def kept(kiln: Client, execution_id: str) -> list[str]:
    """What was kept of an execution, newest first."""
    items = kiln("GET", f"/operations/events?taskId={execution_id}").json()["items"]
    return [item["type"] for item in items]
