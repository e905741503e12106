"""Replaying and cancelling many executions at once."""

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from app.executions import bulk
from tests.accounts.world import World
from tests.api.answers import assert_problem, registered_ready
from tests.programs import TRAP
from tests.workbench import Workbench

Rows = Callable[..., list[Any]]

INPUTS = [{"number": number} for number in range(5)]


@pytest.fixture
def failed(client: FlaskClient, workbench: Workbench) -> dict[str, Any]:
    """A function of which five executions have failed, and which has been mended."""
    function = registered_ready(client, workbench, name="failing", source=TRAP)
    client.post(f"/functions/{function['id']}/execute-batch", json={"inputs": INPUTS})
    workbench.drain()
    mended = registered_ready(client, workbench, name="other")
    client.put(f"/functions/{function['id']}", json={"language": "wat", "source": mended["source"]})
    workbench.drain()
    return function


def replay(client: FlaskClient, **body: Any) -> int:
    """How many are executed once more."""
    response = client.post("/executions/replay", json=body)
    assert response.status_code == 202, response.text
    count: int = response.get_json()["count"]
    assert len(client.get(f"{response.headers['Location']}&limit=200").get_json()["items"]) == count
    return count


def cancel(client: FlaskClient, **wanted: Any) -> int:
    """How many are ended."""
    response = client.post("/executions/cancel", json={"filter": wanted})
    assert response.status_code == 202, response.text
    count: int = response.get_json()["count"]
    return count


def listed(client: FlaskClient, query: str = "") -> list[dict[str, Any]]:
    """Executions, the newest first."""
    items: list[dict[str, Any]] = client.get(f"/executions?limit=200&{query}").get_json()["items"]
    return items


def test_what_is_left_out_does_not_count(
    client: FlaskClient, failed: dict[str, Any], workbench: Workbench, rows: Rows
) -> None:
    client.post(f"/functions/{failed['id']}/execute-batch", json={"inputs": INPUTS})
    workbench.drain()
    rows("UPDATE versions SET retired_at = now() WHERE function_id = %s AND number = 1", failed["id"])
    assert replay(client, filter={"functionId": failed["id"]}, limit=3) == 3
    versions = {one["version"] for one in listed(client, "status=PENDING")}
    assert versions == {2}


def test_many_are_not_replayed_under_a_key(client: FlaskClient, failed: dict[str, Any]) -> None:
    body = {"filter": {"functionId": failed["id"]}}
    answer = client.post("/executions/replay", json=body, headers={"Idempotency-Key": "once"})
    assert_problem(answer, "unsupported")
    assert listed(client, "status=PENDING") == []


def test_what_failed_is_replayed_on_what_was_mended(
    client: FlaskClient, failed: dict[str, Any], workbench: Workbench
) -> None:
    originals = [one["id"] for one in listed(client, "errorType=TRAP")]
    assert replay(client, filter={"functionId": failed["id"], "status": "FAILED"}, version="active") == len(INPUTS)
    workbench.drain()
    replayed = listed(client, "status=COMPLETED")
    assert [one["replayOf"] for one in replayed] == originals
    assert {(one["version"], one["trigger"]) for one in replayed} == {(2, "REPLAY")}
    outputs = [client.get(f"/executions/{one['id']}").get_json()["output"] for one in replayed]
    assert outputs == INPUTS[::-1]


def test_without_another_version_they_have_their_own(
    client: FlaskClient, failed: dict[str, Any], workbench: Workbench
) -> None:
    assert replay(client, filter={"errorType": "TRAP"}) == len(INPUTS)
    workbench.drain()
    assert {(one["version"], one["status"]) for one in listed(client)} == {(1, "FAILED")}


def test_so_many_are_replayed_at_most_and_the_oldest(client: FlaskClient, failed: dict[str, Any]) -> None:
    oldest = [one["id"] for one in listed(client)][-2:]
    assert replay(client, filter={"status": "FAILED"}, limit=2) == 2
    assert [one["replayOf"] for one in listed(client, "status=PENDING")] == oldest


def test_what_has_not_ended_is_not_replayed(client: FlaskClient, failed: dict[str, Any]) -> None:
    replay(client, filter={"functionId": failed["id"]})
    assert replay(client, filter={"status": "PENDING"}) == 0


def test_what_cannot_be_executed_any_more_is_left_out(client: FlaskClient, failed: dict[str, Any], rows: Rows) -> None:
    rows("UPDATE versions SET retired_at = now() WHERE number = 1 AND function_id = %s", failed["id"])
    assert replay(client, filter={"functionId": failed["id"]}) == 0
    assert replay(client, filter={"functionId": failed["id"]}, version=2) == len(INPUTS)


def test_more_than_one_statement_takes_are_replayed_and_cancelled(
    client: FlaskClient, failed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "_AT_ONCE", 2)
    assert replay(client, filter={"functionId": failed["id"]}) == len(INPUTS)
    assert cancel(client, functionId=failed["id"]) == len(INPUTS)
    assert cancel(client, functionId=failed["id"]) == 0


def test_what_matches_is_cancelled_and_nothing_else(
    client: FlaskClient, failed: dict[str, Any], workbench: Workbench, rows: Rows
) -> None:
    ended = len(listed(client))
    for version in (1, 2):
        client.post(f"/functions/{failed['id']}/execute-batch", json={"inputs": [1, 2], "version": version})
    assert cancel(client, version=1) == 2
    assert cancel(client, status="RUNNING") == 0
    assert workbench.drain() == 2
    assert [one["status"] for one in listed(client)][:4] == ["COMPLETED"] * 2 + ["CANCELLED"] * 2
    assert len(listed(client)) == ended + 4
    events = client.get("/audit-events?action=executions.cancel").get_json()["items"]
    assert [event["after"] for event in events] == [{"count": 2}]


def test_a_user_cancels_what_is_theirs(client: FlaskClient, world: World) -> None:
    owner, caller, other = (world.user() for _ in range(3))
    function_id = world.function(owner)
    mine, others = (world.execution(function_id) for _ in range(2))
    world.sql("UPDATE executions SET caller_id = %s WHERE id = %s", caller.id, mine)
    world.sql(
        "INSERT INTO broker.messages (queue, function_id, execution_id, payload) "
        "SELECT 'execute', function_id, id, '{}' FROM executions WHERE id IN (%s, %s)",
        mine,
        others,
    )
    body = {"filter": {"functionId": str(function_id)}}
    counts = [
        world.by_key("asker", asker).ask("POST", "/executions/cancel", json=body).get_json()["count"]
        for asker in (other, caller, owner)
    ]
    assert counts == [0, 1, 1]


def test_a_user_replays_what_they_see(world: World) -> None:
    owner, other = world.user(), world.user()
    hidden = world.function(owner, users=[owner.id])
    execution_id = world.execution(hidden)
    world.sql("UPDATE executions SET status = 'CANCELLED', completed_at = now() WHERE id = %s", execution_id)
    world.sql("UPDATE versions SET status = 'FAILED', compile_error = 'x', compiled_at = now()")
    body = {"filter": {"status": "CANCELLED"}}
    assert world.by_key("other", other).ask("POST", "/executions/replay", json=body).get_json() == {"count": 0}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"filter": {}},
        {"filter": {"status": "LOST"}},
        {"filter": {"input": 1}},
        {"filter": {"status": "FAILED"}, "limit": 0},
        {"filter": {"status": "FAILED"}, "limit": 10_001},
        {"filter": {"status": "FAILED"}, "version": "latest"},
        {"filter": {"status": "FAILED"}, "version": 0},
    ],
)
def test_what_makes_no_sense_is_refused(client: FlaskClient, body: dict[str, Any]) -> None:
    assert_problem(client.post("/executions/replay", json=body), "validation_error")
    if "version" not in body and "limit" not in body:
        assert_problem(client.post("/executions/cancel", json=body), "validation_error")
