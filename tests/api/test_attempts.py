"""Cancelling, replaying, and trying again."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.broker import Delivery
from app.executions import running
from app.executions.domain import MAX_DELIVERIES
from app.functions.domain import RETRIED, Retry
from app.platform import Platform
from app.rules import Role, Scope
from app.wasm.outcome import Failure
from tests.accounts.world import World
from tests.api.answers import ABSENT, assert_problem, register, registered_ready
from tests.patience import until
from tests.programs import ECHO, LOOP, NAP, TRAP
from tests.workbench import Workbench

Rows = Callable[..., list[Any]]

ASYNC = {"Prefer": "respond-async"}

AT_ONCE = {"attempts": 3, "backoffSeconds": 0}


def accepted(client: FlaskClient, function: dict[str, Any], **body: Any) -> str:
    """An execution that waits for a worker."""
    response = client.post(f"/functions/{function['id']}/execute", json=body, headers=ASYNC)
    assert response.status_code == 202, response.text
    execution_id: str = response.get_json()["id"]
    return execution_id


def read(client: FlaskClient, execution_id: str) -> dict[str, Any]:
    """An execution as it is."""
    body: dict[str, Any] = client.get(f"/executions/{execution_id}").get_json()
    return body


def attempts(client: FlaskClient, execution_id: str) -> list[dict[str, Any]]:
    """The attempts at it."""
    items: list[dict[str, Any]] = client.get(f"/executions/{execution_id}/attempts").get_json()["items"]
    return items


def test_what_waits_is_cancelled_and_never_run(client: FlaskClient, workbench: Workbench) -> None:
    execution_id = accepted(client, registered_ready(client, workbench))
    response = client.post(f"/executions/{execution_id}/cancel")
    assert (response.status_code, response.get_json()["status"]) == (200, "CANCELLED")
    assert workbench.drain() == 0
    # Cancelling it again says the same.
    assert client.post(f"/executions/{execution_id}/cancel").get_json() == response.get_json()
    assert attempts(client, execution_id) == []


def test_what_has_ended_cannot_be_cancelled(client: FlaskClient, workbench: Workbench) -> None:
    execution_id = accepted(client, registered_ready(client, workbench))
    workbench.drain()
    problem = assert_problem(client.post(f"/executions/{execution_id}/cancel"), "execution_ended")
    assert problem["state"] == "COMPLETED"
    assert_problem(client.post(f"/executions/{ABSENT}/cancel"), "not_found")


def test_what_runs_is_stopped_within_a_second(client: FlaskClient, workbench: Workbench, rows: Rows) -> None:
    function = registered_ready(client, workbench, source=LOOP)
    client.put(f"/functions/{function['id']}", json={"limits": {"timeoutMs": 30_000}})
    execution_id = accepted(client, function)
    message = workbench.claim(Workbench.EXECUTE)
    assert message is not None
    with ThreadPoolExecutor(1) as pool:
        work = pool.submit(workbench.work, message)
        until(lambda: read(client, execution_id)["status"] == "RUNNING")
        assert client.post(f"/executions/{execution_id}/cancel").get_json()["status"] == "CANCELLED"
        # The function would go on for half a minute; what stops it is measured with the other figures.
        work.result(timeout=10)
    assert read(client, execution_id)["status"] == "CANCELLED"
    assert rows("SELECT FROM broker.messages") == []


def test_one_of_cancelling_and_completing_wins(client: FlaskClient, app: Flask, workbench: Workbench) -> None:
    function = registered_ready(client, workbench)
    ids = [accepted(client, function) for _ in range(40)]
    with ThreadPoolExecutor(1) as pool:
        draining = pool.submit(workbench.drain)
        answers = [client.post(f"/executions/{one}/cancel").status_code for one in ids]
        draining.result(timeout=30)
    ended = [read(client, one)["status"] for one in ids]
    assert ended == [{200: "CANCELLED", 409: "COMPLETED"}[answer] for answer in answers]


def test_whoever_asked_for_it_cancels_it_and_whoever_owns_the_function_and_no_other(
    app: Flask, client: FlaskClient, world: World
) -> None:
    owner, caller, other = (world.user() for _ in range(3))
    function_id = world.function(owner)
    for asker, allowed in ((owner, True), (caller, True), (other, False)):
        execution_id = world.execution(function_id)
        world.sql("UPDATE executions SET caller_id = %s WHERE id = %s", caller.id, execution_id)
        response = world.by_key("asker", asker).ask("POST", f"/executions/{execution_id}/cancel")
        assert response.status_code == (200 if allowed else 403)


def test_whoever_may_not_read_executions_cancels_one_and_learns_nothing_of_it(
    client: FlaskClient, world: World, workbench: Workbench, rows: Rows
) -> None:
    execution_id = accepted(client, registered_ready(client, workbench), input="a secret")
    rows("UPDATE executions SET progress = jsonb_build_object('percent', 1, 'message', 'a secret', 'at', now())")
    owner = world.user(Role.ADMIN)
    writer = world.by_key("writer", owner, frozenset({Scope.EXECUTIONS_WRITE}))
    answer = writer.ask("POST", f"/executions/{execution_id}/cancel")
    assert (answer.status_code, answer.get_json()["status"]) == (200, "CANCELLED")
    assert "a secret" not in answer.text
    assert not {"input", "output", "logs", "progress"} & answer.get_json().keys()
    reader = world.by_key("reader", owner, frozenset({Scope.EXECUTIONS_WRITE, Scope.EXECUTIONS_READ}))
    assert reader.ask("POST", f"/executions/{execution_id}/cancel").get_json()["input"] == "a secret"


def test_an_execution_says_who_asked_for_it(client: FlaskClient, workbench: Workbench) -> None:
    execution_id = accepted(client, registered_ready(client, workbench))
    assert read(client, execution_id)["callerId"] == client.get("/me").get_json()["id"]


def test_a_replay_has_the_input_and_the_version_of_the_original(client: FlaskClient, workbench: Workbench) -> None:
    function = registered_ready(client, workbench)
    original = accepted(client, function, input={"a": [1, 2.0]}, priority="HIGH")
    client.put(f"/functions/{function['id']}", json={"language": "wat", "source": TRAP})
    workbench.drain()
    workbench.start()
    replayed = client.post(f"/executions/{original}/replay", json={}).get_json()
    assert (replayed["replayOf"], replayed["trigger"], replayed["version"]) == (original, "REPLAY", 1)
    assert (replayed["input"], replayed["output"]) == ({"a": [1, 2.0]}, {"a": [1, 2.0]})
    assert (replayed["priority"], read(client, original)["priority"]) == ("HIGH", "HIGH")
    # On what serves now, with another input
    response = client.post(f"/executions/{original}/replay", json={"version": "active", "input": 7}, headers=ASYNC)
    assert (response.status_code, response.get_json()["version"], response.get_json()["input"]) == (202, 2, 7)
    assert_problem(client.post(f"/executions/{original}/replay", json={"version": 9}), "unknown_reference")
    assert_problem(client.post(f"/executions/{ABSENT}/replay", json={}), "not_found")


def test_a_key_that_may_not_read_executions_replays_none(world: World) -> None:
    user = world.user()
    execution_id = world.execution(world.function(user))
    asker = world.by_key("executes only", user, frozenset({Scope.FUNCTIONS_EXECUTE}))
    assert_problem(asker.ask("POST", f"/executions/{execution_id}/replay", json={}), "scope_missing")


def test_logs_are_read_by_themselves(client: FlaskClient, workbench: Workbench) -> None:
    execution_id = accepted(client, registered_ready(client, workbench))
    assert client.get(f"/executions/{execution_id}/logs").get_json() == {"executionId": execution_id, "logs": None}
    workbench.drain()
    assert client.get(f"/executions/{execution_id}/logs").get_json()["logs"] == ""
    assert_problem(client.get(f"/executions/{ABSENT}/logs"), "not_found")


def test_without_a_word_about_it_a_failure_is_final(client: FlaskClient, workbench: Workbench) -> None:
    function = registered_ready(client, workbench, source=TRAP)
    assert client.get(f"/functions/{function['id']}").get_json()["retry"] is None
    execution_id = accepted(client, function)
    assert workbench.drain() == 1
    assert [(one["attempt"], one["status"], one["errorType"]) for one in attempts(client, execution_id)] == [
        (1, "FAILED", "TRAP")
    ]


def test_a_function_is_tried_again_as_often_as_it_says(client: FlaskClient, workbench: Workbench) -> None:
    function = register(client, source=TRAP, retry=AT_ONCE)
    workbench.drain()
    execution_id = accepted(client, function)
    assert workbench.drain() == 3
    execution = read(client, execution_id)
    assert (execution["status"], execution["errorType"], execution["attempts"]) == ("FAILED", "TRAP", 3)
    tried = attempts(client, execution_id)
    assert [(one["attempt"], one["status"], one["errorType"]) for one in tried] == [
        (number, "FAILED", "TRAP") for number in (1, 2, 3)
    ]
    assert all(one["worker"] and one["durationMs"] > 0 and one["errorMessage"] for one in tried)
    times = [one[name] for one in tried for name in ("startedAt", "completedAt")]
    assert times == sorted(times)


def test_it_is_tried_again_for_the_errors_that_it_names(client: FlaskClient, workbench: Workbench) -> None:
    function = register(client, source=TRAP, retry=AT_ONCE | {"errorTypes": ["TIMEOUT"]})
    workbench.drain()
    execution_id = accepted(client, function)
    assert workbench.drain() == 1
    assert read(client, execution_id)["attempts"] == 1


def test_whoever_waits_waits_through_all_attempts(client: FlaskClient, workbench: Workbench) -> None:
    function = register(client, source=TRAP, retry={"attempts": 2, "backoffSeconds": 0})
    workbench.drain()
    workbench.start()
    response = client.post(f"/functions/{function['id']}/execute", json={})
    assert (response.status_code, response.get_json()["attempts"]) == (200, 2)


def test_between_attempts_it_waits_in_the_database(client: FlaskClient, workbench: Workbench, rows: Rows) -> None:
    function = register(client, source=TRAP, retry={"attempts": 2, "backoffSeconds": 100})
    workbench.drain()
    execution_id = accepted(client, function)
    assert workbench.drain() == 1
    execution = read(client, execution_id)
    assert (execution["status"], execution["startedAt"], execution["attempts"]) == ("PENDING", None, 1)
    ((state, seconds),) = rows("SELECT state, extract(epoch FROM ready_at - now()) FROM broker.messages")
    assert state == "delayed"
    assert 40 < seconds <= 100
    # And it may be cancelled there
    assert client.post(f"/executions/{execution_id}/cancel").get_json()["status"] == "CANCELLED"
    assert rows("SELECT FROM broker.messages") == []


def test_the_waits_double_and_have_an_end() -> None:
    retry = Retry(5, 1.0, 5.0)
    assert [retry.delay("TRAP", retries, chance=0) for retries in range(5)] == [1, 2, 4, 5, None]
    assert retry.delay("TRAP", 1, chance=1) == 1
    assert retry.delay("EXPIRED", 0, chance=0) is None
    assert retry.delay(None, 0, chance=0) is None


def test_what_is_tried_again_is_all_that_a_function_does_wrong() -> None:
    assert list(RETRIED) == [failure.value for failure in Failure]


def test_what_is_said_of_retries_is_read_changed_and_taken_away(client: FlaskClient) -> None:
    function = register(client, retry={"attempts": 4})
    whole = {"attempts": 4, "backoffSeconds": 1.0, "maxBackoffSeconds": 300.0, "errorTypes": list(RETRIED)}
    assert function["retry"] == whole
    url = f"/functions/{function['id']}"
    assert client.put(url, json={"description": "x"}).get_json()["retry"] == whole
    assert client.put(url, json={"retry": None}).get_json()["retry"] is None


@pytest.mark.parametrize(
    "retry",
    [
        {},
        {"attempts": 0},
        {"attempts": 11},
        {"attempts": 2, "backoffSeconds": -1},
        {"attempts": 2, "errorTypes": []},
        {"attempts": 2, "errorTypes": ["WORKER_LOST"]},
        {"attempts": 2, "jitter": True},
        "often",
    ],
)
def test_retries_that_make_no_sense_are_refused(client: FlaskClient, retry: Any) -> None:
    sent = {"name": "f", "language": "wat", "source": ECHO, "retry": retry}
    assert_problem(client.post("/functions", json=sent), "validation_error")


def test_attempts_that_the_platform_spoiled_are_told_and_do_not_count_for_the_function(
    client: FlaskClient, workbench: Workbench, platform: Platform, rows: Rows
) -> None:
    function = register(client, source=TRAP, retry={"attempts": 2, "backoffSeconds": 0})
    workbench.drain()
    execution_id = accepted(client, function)
    # Given a worker that is lost, and a failure of the platform
    workbench.claim(Workbench.EXECUTE)
    rows("UPDATE broker.messages SET state = 'ready', holder = NULL, losses = 1")
    message = workbench.claim(Workbench.EXECUTE)
    assert message is not None
    assert running.give_up(platform, Delivery.of(message["properties"]), UUID(execution_id))
    rows("UPDATE broker.messages SET state = 'ready', holder = NULL, ready_at = now()")
    # Then the function still has its two attempts
    assert workbench.drain() == 2
    assert [(one["attempt"], one["errorType"]) for one in attempts(client, execution_id)] == [
        (1, "WORKER_LOST"),
        (2, "INFRASTRUCTURE"),
        (3, "TRAP"),
        (4, "TRAP"),
    ]


def test_the_platform_fails_so_often_and_retries_of_the_function_are_not_among_it(
    client: FlaskClient, workbench: Workbench, platform: Platform, rows: Rows
) -> None:
    function = register(client, source=TRAP, retry={"attempts": 10, "backoffSeconds": 0})
    workbench.drain()
    execution_id = accepted(client, function)
    for _ in range(MAX_DELIVERIES + 1):
        message = workbench.claim(Workbench.EXECUTE)
        assert message is not None
        workbench.work(message)
    for failure in range(1, MAX_DELIVERIES + 1):
        message = workbench.claim(Workbench.EXECUTE)
        assert message is not None
        assert running.give_up(platform, Delivery.of(message["properties"]), UUID(execution_id))
        expected = "FAILED" if failure == MAX_DELIVERIES else "PENDING"
        assert read(client, execution_id)["status"] == expected
        rows("UPDATE broker.messages SET state = 'ready', ready_at = now()")
    assert read(client, execution_id)["errorType"] == "INFRASTRUCTURE"
    assert [one["errorType"] for one in attempts(client, execution_id)] == ["TRAP"] * 6 + ["INFRASTRUCTURE"] * 5


def test_a_retried_attempt_that_was_superseded_changes_nothing(
    client: FlaskClient, workbench: Workbench, rows: Rows
) -> None:
    function = register(client, source=TRAP, retry=AT_ONCE)
    workbench.drain()
    execution_id = accepted(client, function)
    first = workbench.claim(Workbench.EXECUTE)
    rows("UPDATE broker.messages SET state = 'ready', holder = NULL")
    second = workbench.claim(Workbench.EXECUTE)
    assert first is not None
    assert second is not None
    workbench.work(first)
    execution = read(client, execution_id)
    assert (execution["status"], execution["attempts"]) == ("RUNNING", 2)
    workbench.work(second)
    assert read(client, execution_id)["status"] == "PENDING"
    assert workbench.drain() == 2


def test_what_was_tried_again_in_a_turn_is_run_by_itself(client: FlaskClient, workbench: Workbench) -> None:
    function = register(client, source=NAP, retry=AT_ONCE)
    workbench.drain()
    ids = client.post(f"/functions/{function['id']}/execute-batch", json={"inputs": [0, 0, 0]}).get_json()
    workbench.drain()
    assert {read(client, one)["status"] for one in ids["executionIds"]} == {"COMPLETED"}
