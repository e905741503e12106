"""What a function says of its progress is seen in its execution."""

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.api.answers import assert_problem, registered_ready
from tests.patience import until
from tests.programs import PROGRESS
from tests.workbench import Workbench

Rows = Callable[..., list[Any]]

ASYNC = {"Prefer": "respond-async"}


@pytest.fixture
def url(client: FlaskClient, workbench: Workbench) -> str:
    """The address of a function that says how far it has come."""
    return f"/functions/{registered_ready(client, workbench, 'progress', PROGRESS)['id']}"


def read(client: FlaskClient, execution: dict[str, Any]) -> dict[str, Any]:
    """It as it is now."""
    body: dict[str, Any] = client.get(f"/executions/{execution['id']}").get_json()
    return body


def test_it_is_seen_while_the_function_runs_and_afterwards(client: FlaskClient, url: str, workbench: Workbench) -> None:
    execution = client.post(f"{url}/execute", json={"input": 2500}, headers=ASYNC).get_json()
    assert execution["progress"] is None
    workbench.start()
    until(lambda: read(client, execution)["progress"] is not None, what="some progress")
    seen = read(client, execution)
    assert seen["status"] == "RUNNING"
    assert (seen["progress"]["percent"], seen["progress"]["message"]) == (30, "a third")
    assert seen["startedAt"] <= seen["progress"]["at"]
    until(lambda: read(client, execution)["status"] == "COMPLETED", what="its end")
    ended = read(client, execution)
    assert (ended["progress"]["percent"], ended["progress"]["message"]) == (100, None)
    assert "::progress 30 a third" in ended["logs"]


def test_one_that_is_short_has_said_it_too(client: FlaskClient, url: str, workbench: Workbench) -> None:
    workbench.start()
    waited = client.post(f"{url}/execute", json={"input": 0}).get_json()
    assert waited["status"] == "COMPLETED"
    assert waited["progress"]["percent"] == 100
    background = client.post(f"{url}/execute", json={"input": 0}, headers=ASYNC).get_json()
    until(lambda: read(client, background)["status"] == "COMPLETED", what="its end")
    assert read(client, background)["progress"]["percent"] == 100


def test_every_attempt_begins_anew(client: FlaskClient, url: str, workbench: Workbench, rows: Rows) -> None:
    limits = {"limits": {"timeoutMs": 300}, "retry": {"attempts": 2, "backoffSeconds": 0}}
    assert client.put(url, json=limits).status_code == 200
    execution = client.post(f"{url}/execute", json={"input": 2000}, headers=ASYNC).get_json()
    message = workbench.claim(Workbench.EXECUTE)
    assert message is not None
    workbench.work(message)
    assert read(client, execution)["progress"]["percent"] == 30
    workbench.claim(Workbench.EXECUTE)
    again = read(client, execution)
    assert (again["attempts"], again["progress"]) == (2, None)


def test_a_function_may_run_for_an_hour_and_no_longer(client: FlaskClient, url: str) -> None:
    assert client.put(url, json={"limits": {"timeoutMs": 3_600_000}}).status_code == 200
    assert_problem(client.put(url, json={"limits": {"timeoutMs": 3_600_001}}), "validation_error")
