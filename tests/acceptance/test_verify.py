"""Real compile workers build versions again, and are killed while they do."""

from collections.abc import Callable
from typing import Any

from pytest_celery import CeleryTestSetup

from tests.acceptance.conftest import Client
from tests.acceptance.processes import LocalProcess
from tests.patience import until
from tests.programs import ECHO, TRAP

Rows = Callable[..., list[Any]]


def test_versions_are_verified_by_workers_however_often_they_are_killed(
    kiln: Client, celery_setup: CeleryTestSetup, new_worker: Callable[..., LocalProcess], rows: Rows
) -> None:
    ids = {}
    for name, language, source in (
        ("honest", "assemblyscript", "export function handle(input: string): string { return input; }"),
        ("changed", "wat", ECHO),
        ("other", "wat", TRAP),
    ):
        ids[name] = kiln.register(name, language, source)
        kiln.compiled(ids[name])
    # What is as it was matches, and whoever asks is told so
    answer = kiln("POST", f"/functions/{ids['honest']}/versions/1/verify")
    assert (answer.status_code, answer.json()["verification"]) == (200, "MATCHES")
    # What was changed in the database differs
    rows(
        "UPDATE versions SET artifact_digest = (SELECT artifact_digest FROM versions WHERE function_id = %s) "
        "WHERE function_id = %s",
        ids["other"],
        ids["changed"],
    )
    answer = kiln("POST", f"/functions/{ids['changed']}/versions/1/verify").json()
    assert answer["verification"] == "DIFFERS"
    assert answer["rebuilt"]["wasmDigest"] != answer["wasmDigest"]
    # A worker that is killed meanwhile loses nothing
    kiln("POST", f"/functions/{ids['honest']}/versions/1/verify", headers={"Prefer": "respond-async"})
    until(lambda: rows("SELECT FROM broker.messages WHERE state = 'leased'"))
    celery_setup.worker_cluster[0].kill("SIGKILL", reload_container=False)
    assert rows("SELECT verification FROM versions WHERE function_id = %s", ids["honest"]) == [("PENDING",)]
    new_worker("compile", "compile-2")
    until(lambda: rows("SELECT FROM versions WHERE function_id = %s AND verification = 'MATCHES'", ids["honest"]))
    assert rows("SELECT FROM broker.messages") == []
