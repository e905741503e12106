"""Functions see their environment, whatever they are written in, and executions say which revision that was."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from sqlalchemy import event
from structlog.testing import capture_logs

from app.broker import Delivery, Keeper
from app.environments import opening
from app.environments.domain import MasterKeyMissing
from app.executions import running
from app.executions.queries import Claimed
from app.functions.domain import MAX_DELIVERIES
from app.functions.modules import Modules
from app.platform import Platform
from tasks.attempt import attempt
from tests.api.answers import register
from tests.environments.answers import SECRET, created, entry, patched
from tests.executions.test_turns import Child, batch
from tests.programs import ECHO, ENVIRONMENT
from tests.workbench import Workbench

Rows = Callable[..., list[Any]]

JAVASCRIPT = "export default function handle() { return process.env; }"
PYTHON = "import os\ndef handle(input):\n    return dict(os.environ)\n"


@pytest.fixture(autouse=True)
def nothing_remembered() -> None:
    """Each test's process has opened nothing yet."""
    opening.forget_all()


@pytest.fixture
def environment(client: FlaskClient) -> dict[str, Any]:
    """One with a variable and a secret."""
    return created(client, entry("REGION", "eu"), entry("TOKEN", SECRET, secret=True))


def executed(client: FlaskClient, workbench: Workbench, function: dict[str, Any]) -> dict[str, Any]:
    """An execution that has ended."""
    address = f"/functions/{function['id']}/execute"
    execution = client.post(address, json={}, headers={"Prefer": "respond-async"}).get_json()
    workbench.drain()
    body: dict[str, Any] = client.get(f"/executions/{execution['id']}").get_json()
    assert body["status"] != "PENDING", body
    return body


def given(client: FlaskClient, workbench: Workbench, environment: dict[str, Any], **members: Any) -> dict[str, Any]:
    """A function that has an environment and answers it."""
    function = register(client, "given", members.pop("source", ENVIRONMENT), environmentId=environment["id"], **members)
    workbench.drain()
    return function


def test_a_module_sees_variables_and_secrets(
    client: FlaskClient, workbench: Workbench, environment: dict[str, Any]
) -> None:
    function = given(client, workbench, environment)
    execution = executed(client, workbench, function)
    assert (execution["output"], execution["environmentRevision"]) == (f"REGION=eu TOKEN={SECRET} ", 1)
    # When entries change, the next execution sees it, and says so
    patched(client, environment, set=[entry("REGION", "us")], remove=["TOKEN"])
    execution = executed(client, workbench, function)
    assert (execution["output"], execution["environmentRevision"]) == ("REGION=us ", 2)
    (item, _) = client.get(f"/functions/{function['id']}/executions").get_json()["items"]
    assert item["environmentRevision"] == 2
    # And without an environment there is nothing
    client.put(f"/functions/{function['id']}", json={"environmentId": None})
    execution = executed(client, workbench, function)
    assert (execution["output"], execution["environmentRevision"]) == ("", None)


@pytest.mark.parametrize(("language", "source"), [("javascript", JAVASCRIPT), ("python", PYTHON)])
def test_languages_see_them_in_their_own_way(
    client: FlaskClient, workbench: Workbench, environment: dict[str, Any], language: str, source: str
) -> None:
    workbench.prepare()
    function = given(client, workbench, environment, language=language, source=source)
    assert executed(client, workbench, function)["output"] == {"REGION": "eu", "TOKEN": SECRET}


def test_the_largest_environment_arrives(client: FlaskClient, workbench: Workbench) -> None:
    values = {f"K{number}": "ä" * 8000 for number in range(8)}
    environment = created(client, *(entry(key, value, secret=True) for key, value in values.items()))
    function = given(client, workbench, environment)
    output = executed(client, workbench, function)["output"]
    assert output == "".join(f"{key}={value} " for key, value in values.items())


def test_whoever_waits_is_told_the_revision(
    client: FlaskClient, workbench: Workbench, environment: dict[str, Any]
) -> None:
    function = given(client, workbench, environment)
    workbench.start()
    execution = client.post(f"/functions/{function['id']}/execute", json={}).get_json()
    assert (execution["status"], execution["environmentRevision"]) == ("COMPLETED", 1)


def test_groups_see_it_and_record_its_revision(
    client: FlaskClient, workbench: Workbench, platform: Platform, environment: dict[str, Any], rows: Rows
) -> None:
    function = given(client, workbench, environment)
    batch(client, function, [1, 2, 3])
    Child(platform, workbench).drain()
    found = rows("SELECT output #>> '{}', environment_revision FROM executions")
    assert found == [(f"REGION=eu TOKEN={SECRET} ", 1)] * 3


def test_a_change_between_claim_and_attempt_is_recorded_as_what_was_seen(
    client: FlaskClient, workbench: Workbench, environment: dict[str, Any]
) -> None:
    function = given(client, workbench, environment)
    headers = {"Prefer": "respond-async"}
    execution = client.post(f"/functions/{function['id']}/execute", json={}, headers=headers).get_json()
    message = workbench.claim(Workbench.EXECUTE)
    assert message is not None
    patched(client, environment, set=[entry("REGION", "us")])
    workbench.work(message)
    after = client.get(f"/executions/{execution['id']}").get_json()
    assert (after["output"], after["environmentRevision"]) == (f"REGION=us TOKEN={SECRET} ", 2)


def test_only_the_first_of_a_revision_costs_a_statement(
    client: FlaskClient, workbench: Workbench, platform: Platform, environment: dict[str, Any]
) -> None:
    plain = register(client, "plain", ECHO)
    function = given(client, workbench, environment)
    statements: list[str] = []
    for one in (plain, function):
        executed(client, workbench, one)
    opening.forget_all()

    def count(one: dict[str, Any]) -> int:
        client.post(f"/functions/{one['id']}/execute", json={}, headers={"Prefer": "respond-async"})
        message = workbench.claim(Workbench.EXECUTE)
        assert message is not None
        statements.clear()
        workbench.work(message)
        return len(statements)

    def note(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        statements.append(statement)

    event.listen(platform.database.engine, "before_cursor_execute", note)
    assert [count(one) for one in (plain, function, function, plain)] == [1, 2, 1, 1]
    patched(client, environment, set=[entry("REGION", "us")])
    assert [count(function), count(function)] == [2, 1]


def test_a_child_remembers_few_and_the_latest(client: FlaskClient, platform: Platform) -> None:
    made = [created(client, name=f"number-{number}") for number in range(opening.MOST_REMEMBERED + 2)]
    first, *others = (UUID(one["id"]) for one in made)
    kept = opening.opened(platform, first, 1)
    for other in others:
        assert opening.opened(platform, first, 1) is kept
        opening.opened(platform, other, 1)
    assert len(opening._remembered) == opening.MOST_REMEMBERED


@pytest.fixture
def keyless(platform: Platform) -> Platform:
    """The same platform in a process that was given another master key."""
    return replace(platform, settings=replace(platform.settings, master_keys=(b"another key of thirty-two bytes.",)))


def test_without_its_master_key_an_execution_fails_after_the_usual_attempts(
    client: FlaskClient, workbench: Workbench, keyless: Platform, environment: dict[str, Any], rows: Rows
) -> None:
    function = given(client, workbench, environment)
    headers = {"Prefer": "respond-async"}
    execution = client.post(f"/functions/{function['id']}/execute", json={}, headers=headers).get_json()
    modules, keeper = Modules(keyless), Keeper(keyless.settings.database_url, lease_seconds=15)
    with capture_logs() as lines:
        for _ in range(MAX_DELIVERIES):
            rows("UPDATE broker.messages SET ready_at = now(), state = 'ready', holder = NULL")
            message = workbench.claim(Workbench.EXECUTE)
            assert message is not None
            claimed = Claimed(UUID(execution["id"]), Delivery.of(message["properties"]))
            give_up = partial(running.give_up, keyless, claimed.delivery, claimed.execution_id)
            with attempt(keyless, claimed.delivery, give_up):
                running.execute(keyless, modules, keeper, claimed)
    after = client.get(f"/executions/{execution['id']}").get_json()
    assert (after["status"], after["errorType"], after["attempts"]) == ("FAILED", "INFRASTRUCTURE", MAX_DELIVERIES)
    assert after["environmentRevision"] == 1
    assert rows("SELECT FROM broker.messages") == []
    assert [line["event"] for line in lines if line["log_level"] == "error"] == ["attempt.failed"] * MAX_DELIVERIES
    assert SECRET not in f"{lines}{after}"
    (name,) = rows("SELECT master_key FROM environments")[0]
    with pytest.raises(MasterKeyMissing, match=rf"wrapped by the master key {name}, which KILN_MASTER_KEY"):
        opening.opened(keyless, UUID(environment["id"]), 1)


def test_variables_without_secrets_need_no_master_key(client: FlaskClient, keyless: Platform) -> None:
    made = created(client, entry("REGION", "eu"))
    assert dict(opening.opened(keyless, UUID(made["id"]), 1).variables) == {"REGION": "eu"}
