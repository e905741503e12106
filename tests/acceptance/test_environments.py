"""A secret reaches a function in a real worker's child, and nothing that any process writes has it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytest_celery import CeleryTestSetup

from tests.acceptance.conftest import Client
from tests.acceptance.processes import LocalProcess
from tests.patience import until
from tests.programs import ENVIRONMENT

Rows = Callable[..., list[Any]]

SECRET = "kiln-never-shows-this"


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    """Everything that can be logged is."""
    return environment | {"KILN_LOG_LEVEL": "debug"}


def test_no_process_writes_a_secret(
    kiln: Client, web: LocalProcess, celery_setup: CeleryTestSetup, tmp_path: Path, rows: Rows
) -> None:
    # Given a function with a secret
    entries = [{"key": "TOKEN", "value": SECRET, "secret": True}]
    made = kiln("POST", "/environments", json={"name": "production", "entries": entries}).json()
    function_id = kiln.register("given", "wat", ENVIRONMENT, environmentId=made["id"])
    kiln.compiled(function_id)
    # When it is executed, alone and in a group
    execution = kiln("POST", f"/functions/{function_id}/execute", json={}).json()
    assert (execution["output"], execution["environmentRevision"]) == (f"TOKEN={SECRET} ", 1)
    kiln("POST", f"/functions/{function_id}/execute-batch", json={"inputs": [1, 2, 3]})
    until(lambda: rows("SELECT count(*) FROM executions WHERE status = 'COMPLETED'") == [(4,)], seconds=30)
    # And when a revision cannot be opened, because its secrets were exchanged, and then for want of a master key
    patch = {"set": [{"key": "OTHER", "value": SECRET, "secret": True}]}
    kiln("PATCH", f"/environments/{made['id']}/entries", json=patch)
    rows("UPDATE environment_entries AS one SET sealed = two.sealed FROM environment_entries AS two WHERE one <> two")
    asynchronously = {"Prefer": "respond-async"}
    kiln("POST", f"/functions/{function_id}/execute", json={}, headers=asynchronously)
    _, execute_worker = celery_setup.worker_cluster
    until(lambda: "is not what was sealed for this place" in execute_worker.logs(), seconds=30)
    rows("UPDATE environments SET master_key = '00000000'")
    until(lambda: "is wrapped by the master key 00000000, which KILN_MASTER_KEY" in execute_worker.logs(), seconds=30)
    # Then what was written says why, and not what
    written = "".join(path.read_text() for path in tmp_path.glob("*.log"))
    assert web.logs() in written
    assert execute_worker.logs().count("attempt.failed") >= 2
    assert SECRET not in written
