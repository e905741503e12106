"""What lets somebody in is shown to them once: no process writes it, and no row, event or message has it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from app.settings import Settings, load_settings
from tests.acceptance.conftest import Client
from tests.acceptance.processes import LocalProcess
from tests.conftest import PASSWORD
from tests.leaks import holders, shown
from tests.patience import until
from tests.programs import ECHO

Rows = Callable[..., list[Any]]

WRONG, OTHER, SECRET = "a-wrong-password-of-somebody", "glaze over slip over bisque", "kiln-never-shows-this"


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    """Everything that can be logged is."""
    return environment | {"KILN_LOG_LEVEL": "debug"}


def test_nothing_that_lets_somebody_in_is_kept_or_written(
    api: Client,
    environment: dict[str, str],
    settings: Settings,
    template: tuple[str, str],
    new_worker: Callable[..., LocalProcess],
    tmp_path: Path,
    rows: Rows,
) -> None:
    # Given workers that tell every event, and all that anybody is let in with
    workers = [new_worker(queue, queue, options=()) for queue in ("compile", "execute")]
    secrets = {template[1], PASSWORD, WRONG, OTHER, SECRET}
    kept = load_settings(environment)
    secrets |= {kept.secret_key.decode(), (kept.home / "master.key").read_text()}
    somebody = {"email": "somebody@example.org", "name": "Somebody", "role": "DEV", "password": OTHER}
    assert api("POST", "/users", json=somebody).status_code == 201
    signed_in = requests.Session()
    for password, status in ((WRONG, 401), (OTHER, 201)):
        sent = {"email": "somebody@example.org", "password": password}
        begun = signed_in.post(f"{api.address}/sessions", json=sent, timeout=30)
        assert begun.status_code == status
    secrets |= {signed_in.cookies["kiln_session"], begun.json()["csrfToken"]}
    signed_in.headers["X-CSRF-Token"] = begun.json()["csrfToken"]
    made = signed_in.post(f"{api.address}/api-keys", json={"name": "one"}, timeout=30).json()
    rotated = signed_in.post(f"{api.address}/api-keys/{made['id']}/rotate", json={}, timeout=30).json()
    secrets |= {made["key"], rotated["key"]}
    # When all of it is used, by the way and in wrong places, too
    for key in (made["key"], rotated["key"], made["key"] + "0", signed_in.cookies["kiln_session"]):
        client = Client(api.address, key)
        for path in ("/me", "/functions", f"/functions?cursor={key}", f"/{key}", "/audit-events"):
            client("GET", path, headers={"User-Agent": "a program"})
        client.close()
    entries = [{"key": "TOKEN", "value": SECRET, "secret": True}]
    named = api("POST", "/environments", json={"name": "production", "entries": entries}).json()
    function_id = api.register("given", "wat", ECHO, environmentId=named["id"])
    api.compiled(function_id)
    assert api("POST", f"/functions/{function_id}/execute", json={}).json()["status"] == "COMPLETED"
    api("POST", f"/functions/{function_id}/execute-batch", json={"inputs": [1, 2, 3]})
    until(lambda: rows("SELECT count(*) FROM executions WHERE status = 'COMPLETED'") == [(4,)])
    # And a message waits for a worker
    for worker in workers:
        worker.teardown()
    api("POST", f"/functions/{function_id}/execute", json={}, headers={"Prefer": "respond-async"})
    assert rows("SELECT count(*) FROM broker.messages WHERE queue = 'execute'") == [(1,)]
    assert rows("SELECT count(*) > 0 FROM broker.events") == [(True,)]
    # Then nothing of it can be read anywhere
    written = "".join(path.read_text() for path in tmp_path.glob("*.log"))
    assert function_id in written
    assert shown(written, secrets) == []
    assert holders(settings.database_url, *secrets) == []
