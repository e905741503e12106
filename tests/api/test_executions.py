"""Executions over HTTP: execute, wait, read, list."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask.testing import FlaskClient

from app.settings import Settings
from tests.api.answers import ABSENT, assert_problem, register, registered_ready
from tests.patience import until
from tests.programs import BROKEN, ECHO, LOOP, TRAP
from tests.workbench import Workbench

Rows = Callable[..., list[Any]]


def test_an_execution_waits_for_its_end(client: FlaskClient, workbench: Workbench, rows: Rows) -> None:
    function = registered_ready(client, workbench)
    workbench.start()
    response = client.post(f"/functions/{function['id']}/execute", json={"input": {"name": "Ada"}})
    body = response.get_json()
    assert response.status_code == 200
    assert (body["status"], body["output"], body["errorType"]) == ("COMPLETED", {"name": "Ada"}, None)
    assert (body["version"], body["attempts"], body["trigger"]) == (1, 1, "API")
    assert body["durationMs"] > 0
    assert body["queueMs"] > 0
    assert body["correlationId"] == response.headers["X-Correlation-Id"]
    assert rows("SELECT FROM broker.messages") == []
    assert client.get(f"/executions/{body['id']}").get_json() == body


@pytest.mark.parametrize(
    "text",
    [
        "null",
        "true",
        "1.0",
        "-0",
        "12345678901234567890123.000",
        '"\\ud83d\\ude00 \\u00e9 é 😀"',
        '{"b": 1,   "a": [ ] }',
        '{"key with \\"quotes\\"": "\\\\"}',
        '"' + "x" * 20_000 + '"',
    ],
)
def test_input_and_output_are_kept_to_the_letter(client: FlaskClient, workbench: Workbench, text: str) -> None:
    function = registered_ready(client, workbench)
    workbench.start()
    url = f"/functions/{function['id']}/execute"
    response = client.post(url, data=f'{{"input":{text}}}', content_type="application/json")
    assert f'"input":{text},' in response.text
    assert f'"output":{text},' in response.text


def test_without_input_the_input_is_an_empty_object(client: FlaskClient, workbench: Workbench) -> None:
    function = registered_ready(client, workbench)
    workbench.start()
    assert client.post(f"/functions/{function['id']}/execute", json={}).get_json()["output"] == {}


def test_respond_async_answers_202_and_the_row_is_there(client: FlaskClient, workbench: Workbench) -> None:
    function = registered_ready(client, workbench)
    response = client.post(f"/functions/{function['id']}/execute", json={}, headers={"Prefer": "respond-async"})
    assert response.status_code == 202
    assert response.headers["Preference-Applied"] == "respond-async"
    assert int(response.headers["Retry-After"]) >= 1
    assert client.get(response.headers["Location"]).get_json()["status"] == "PENDING"
    workbench.drain()
    assert client.get(response.headers["Location"]).get_json()["status"] == "COMPLETED"


def test_a_wait_that_runs_out_answers_202(client: FlaskClient, workbench: Workbench) -> None:
    function = registered_ready(client, workbench)
    response = client.post(f"/functions/{function['id']}/execute", json={}, headers={"Prefer": "wait=1"})
    assert (response.status_code, response.headers["Preference-Applied"]) == (202, "wait=1")
    assert client.get(response.headers["Location"]).status_code == 200


def test_a_read_waits_for_the_end(client: FlaskClient, workbench: Workbench) -> None:
    function = registered_ready(client, workbench)
    response = client.post(f"/functions/{function['id']}/execute", json={}, headers={"Prefer": "respond-async"})
    workbench.start()
    assert client.get(response.headers["Location"] + "?wait=20").get_json()["status"] == "COMPLETED"


def test_a_function_that_fails_is_not_an_http_error(client: FlaskClient, workbench: Workbench) -> None:
    function = registered_ready(client, workbench, source=TRAP)
    workbench.start()
    response = client.post(f"/functions/{function['id']}/execute", json={})
    body = response.get_json()
    assert (response.status_code, body["status"], body["errorType"], body["output"]) == (200, "FAILED", "TRAP", None)
    assert body["errorMessage"]


def test_an_endless_function_ends_at_its_timeout(client: FlaskClient, workbench: Workbench) -> None:
    function = registered_ready(client, workbench, source=LOOP)
    client.put(f"/functions/{function['id']}", json={"limits": {"timeoutMs": 50}})
    workbench.start()
    body = client.post(f"/functions/{function['id']}/execute", json={}).get_json()
    assert (body["status"], body["errorType"]) == ("FAILED", "TIMEOUT")
    assert body["durationMs"] >= 50


def test_only_a_ready_function_is_executed(client: FlaskClient, workbench: Workbench) -> None:
    function_id = register(client, source=BROKEN)["id"]
    assert (
        assert_problem(client.post(f"/functions/{function_id}/execute", json={}), "function_not_ready")["state"]
        == "PENDING"
    )
    workbench.drain()
    assert (
        assert_problem(client.post(f"/functions/{function_id}/execute", json={}), "function_not_ready")["state"]
        == "FAILED"
    )


def test_a_version_can_be_named(client: FlaskClient, workbench: Workbench) -> None:
    function = registered_ready(client, workbench)
    client.put(f"/functions/{function['id']}", json={"source": TRAP})
    workbench.drain()
    workbench.start()
    url = f"/functions/{function['id']}/execute"
    assert client.post(url, json={"version": 1}).get_json()["status"] == "COMPLETED"
    assert client.post(url, json={}).get_json()["version"] == 2
    assert_problem(client.post(url, json={"version": 3}), "unknown_reference")


def test_a_function_deleted_while_its_execution_waits_cancels_it(
    client: FlaskClient, workbench: Workbench, rows: Rows
) -> None:
    function = registered_ready(client, workbench)
    response = client.post(f"/functions/{function['id']}/execute", json={}, headers={"Prefer": "respond-async"})
    message = workbench.claim(workbench.EXECUTE)
    assert message is not None
    client.delete(f"/functions/{function['id']}")
    workbench.work(message)
    assert rows("SELECT status, output FROM executions") == [("CANCELLED", None)]
    assert_problem(client.get(response.headers["Location"]), "not_found")


def test_a_superseded_attempt_cannot_write_its_result(client: FlaskClient, workbench: Workbench, rows: Rows) -> None:
    # Given an execution whose worker fell silent until its lease was given to another
    function = registered_ready(client, workbench)
    client.post(f"/functions/{function['id']}/execute", json={"input": 1}, headers={"Prefer": "respond-async"})
    silent = workbench.claim(workbench.EXECUTE)
    rows("UPDATE broker.messages SET state = 'ready', holder = NULL")
    second = workbench.claim(workbench.EXECUTE)
    assert silent is not None
    assert second is not None
    # When the first one comes back with a result
    workbench.work(silent)
    # Then it is refused, and only the second one counts
    assert rows("SELECT status, attempts FROM executions") == [("RUNNING", 2)]
    workbench.work(second)
    assert rows("SELECT status, attempts FROM executions") == [("COMPLETED", 2)]


def test_history_is_listed_newest_first_and_filtered(client: FlaskClient, workbench: Workbench) -> None:
    echo, trap = registered_ready(client, workbench), registered_ready(client, workbench, "trap", TRAP)
    async_ = {"Prefer": "respond-async"}
    ids = [
        client.post(
            f"/functions/{function['id']}/execute", json={}, headers=async_ | {"X-Correlation-Id": "c-1"}
        ).get_json()["id"]
        for function in (echo, echo, trap, echo)
    ]
    workbench.drain()
    client.post(f"/functions/{echo['id']}/execute", json={}, headers=async_)
    listed = client.get(f"/functions/{echo['id']}/executions?status=COMPLETED&limit=2").get_json()
    assert [item["id"] for item in listed["items"]] == [ids[3], ids[1]]
    assert not {"input", "output", "logs"} & listed["items"][0].keys()
    rest = client.get(
        f"/functions/{echo['id']}/executions?status=COMPLETED&limit=2&cursor={listed['nextCursor']}"
    ).get_json()
    assert ([item["id"] for item in rest["items"]], rest["nextCursor"]) == ([ids[0]], None)
    everything = client.get("/executions?correlationId=c-1").get_json()["items"]
    assert [item["id"] for item in everything] == ids[::-1]
    assert [item["id"] for item in client.get("/executions?errorType=TRAP").get_json()["items"]] == [ids[2]]
    assert client.get("/executions?to=2000-01-01T00:00:00Z").get_json()["items"] == []
    assert client.get("/executions?version=2").get_json()["items"] == []


def test_an_input_over_the_limit_is_refused(client: FlaskClient, workbench: Workbench, settings: Settings) -> None:
    function = registered_ready(client, workbench)
    response = client.post(f"/functions/{function['id']}/execute", json={"input": "x" * settings.max_input_bytes})
    assert assert_problem(response, "too_large")["limit"] == settings.max_input_bytes


@pytest.mark.parametrize(
    "body", [{"input": "\0"}, {"input": {"a": ["\0"]}}, {"input": {"\0": 1}}, {"version": "X"}, {"callback": {}}]
)
def test_what_cannot_be_honoured_is_refused(client: FlaskClient, body: dict[str, Any]) -> None:
    function_id = register(client, source=ECHO)["id"]
    assert_problem(client.post(f"/functions/{function_id}/execute", json=body), "validation_error")


def test_an_absent_execution_is_not_found(client: FlaskClient) -> None:
    assert_problem(client.get(f"/executions/{ABSENT}"), "not_found")
    assert_problem(client.get("/executions/1"), "not_found")


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x", "status=x", "unknown=1", "from=yesterday"])
def test_a_malformed_query_is_refused(client: FlaskClient, query: str) -> None:
    assert_problem(client.get(f"/executions?{query}"), "validation_error")


def test_a_foreign_cursor_is_refused(client: FlaskClient) -> None:
    for cursor in ("x", "AAAA", "%00", "AQ=="):
        assert_problem(client.get(f"/executions?cursor={cursor}"), "malformed_cursor")


def test_what_a_newer_worker_tells_beyond_what_is_known_is_passed_over(
    client: FlaskClient, workbench: Workbench, rows: Rows
) -> None:
    function = registered_ready(client, workbench)
    with ThreadPoolExecutor(1) as thread:
        answer = thread.submit(client.post, f"/functions/{function['id']}/execute", json={"input": 1})
        until(lambda: rows("SELECT FROM executions WHERE waiter IS NOT NULL"), what="an execution that is awaited")
        rows(
            """SELECT pg_notify(waiter, json_build_object('id', id, 'status', 'COMPLETED', 'output', '2',
                'started_at', now(), 'completed_at', now(), 'told_by_a_newer_release', 1)::text) FROM executions"""
        )
        response = answer.result()
    assert (response.status_code, response.get_json()["output"]) == (200, 2)
