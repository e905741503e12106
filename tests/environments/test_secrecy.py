"""A secret is nowhere but where it is used: no row, no log, no message and no answer has it. Rows that were exchanged,
or put back from an earlier time, do not open.
"""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient

from app.environments import opening
from app.environments.domain import SealBroken
from app.environments.sealing import DataKey
from app.platform import Platform
from tests.api.answers import register
from tests.environments.answers import SECRET, created, entry, patched
from tests.leaks import holders
from tests.programs import ECHO
from tests.workbench import Workbench

Rows = Callable[..., list[Any]]

PLAIN = "kiln-shows-this-to-whom-it-may"


@pytest.fixture(autouse=True)
def nothing_remembered() -> None:
    """Each test's process has opened nothing yet."""
    opening.forget_all()


def test_a_secret_is_in_no_row_no_log_and_no_answer(
    client: FlaskClient,
    workbench: Workbench,
    platform: Platform,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    answers: list[str] = []

    def ask(method: str, path: str, **kwargs: Any) -> Any:
        response = client.open(path, method=method, **kwargs)
        answers.append(f"{response.headers}{response.text}")
        return response.get_json()

    body = {"name": "production", "entries": [entry("TOKEN", SECRET, secret=True), entry("REGION", PLAIN)]}
    address = f"/environments/{(made := ask('POST', '/environments', json=body))['id']}"
    function = register(client, "echo", ECHO, environmentId=made["id"])
    workbench.drain()
    for _ in range(2):
        ask("POST", f"/functions/{function['id']}/execute", json={}, headers={"Prefer": "respond-async"})
        workbench.drain()
        ask("PATCH", f"{address}/entries", json={"set": [entry("OTHER", SECRET * 2, secret=True)]})
    # What is refused is not repeated either
    ask("PATCH", f"{address}/entries", json={"set": [entry("A", SECRET), entry("A", SECRET)]})
    ask("PATCH", f"{address}/entries", json={"set": [entry("1", SECRET), {"key": "A", "value": [SECRET]}]})
    ask("PATCH", f"{address}/entries", json={"set": [entry("A", SECRET * 1000, secret=True)]})
    ask("PUT", address, json={"entries": [entry("TOKEN", SECRET, secret=True)], "name": SECRET.upper()})
    for path in (
        address,
        "/environments",
        "/audit-events",
        "/executions",
        "/functions",
        f"/functions/{function['id']}",
    ):
        ask("GET", path)
    assert {row["status"] for row in ask("GET", "/executions")["items"]} == {"COMPLETED"}
    assert SECRET not in "".join(answers)
    assert SECRET not in caplog.text + "".join(capfd.readouterr())
    assert holders(platform.settings.database_url, SECRET) == []
    # The same search finds what is not hidden.
    assert holders(platform.settings.database_url, PLAIN) == ["environment_entries"]
    assert PLAIN in "".join(answers)


def test_secrets_that_were_exchanged_do_not_open(client: FlaskClient, platform: Platform, rows: Rows) -> None:
    exchange = """
        UPDATE environment_entries AS one SET sealed = other.sealed, version = other.version
        FROM environment_entries AS other WHERE one.{0} <> other.{0}
    """
    made = created(client, entry("A", "a-secret", secret=True), entry("B", "b-secret", secret=True))
    assert rows(exchange.format("key")) == []
    with pytest.raises(SealBroken, match="the secret A of environment") as raised:
        opening.opened(platform, UUID(made["id"]), 1)
    assert "a-secret" not in str(raised.value)
    # Nor between environments, with or without their data keys
    client.delete(f"/environments/{made['id']}")
    one, other = (created(client, entry("A", name, secret=True), name=name) for name in ("one", "other"))
    rows(exchange.format("environment_id"))
    for made in (one, other):
        with pytest.raises(SealBroken, match="the secret A"):
            opening.opened(platform, UUID(made["id"]), 1)
    rows("UPDATE environments AS one SET data_key = other.data_key FROM environments AS other WHERE one.id <> other.id")
    for made in (one, other):
        with pytest.raises(SealBroken, match="the data key"):
            opening.opened(platform, UUID(made["id"]), 1)


def test_only_what_binds_a_secret_to_its_place_keeps_it_there(
    client: FlaskClient, platform: Platform, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where a secret is bound to nothing, the same exchange goes unnoticed
    monkeypatch.setattr(DataKey, "_place", lambda *_place: b"")
    made = created(client, entry("A", "a-secret", secret=True), entry("B", "b-secret", secret=True))
    rows("UPDATE environment_entries AS one SET sealed = two.sealed FROM environment_entries AS two WHERE one <> two")
    assert dict(opening.opened(platform, UUID(made["id"]), 1).variables) == {"A": "b-secret", "B": "a-secret"}


def test_an_earlier_secret_does_not_open_in_place_of_the_present_one(
    client: FlaskClient, platform: Platform, rows: Rows
) -> None:
    made = created(client, entry("A", "leaked", secret=True))
    ((sealed,),) = rows("SELECT sealed FROM environment_entries")
    patched(client, made, set=[entry("A", "renewed")])
    rows("UPDATE environment_entries SET sealed = %s", sealed)
    with pytest.raises(SealBroken, match="the secret A"):
        opening.opened(platform, UUID(made["id"]), 2)
