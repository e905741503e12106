"""Many executions by one request."""

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from app.settings import Settings
from tests.api.answers import ABSENT, assert_problem, register, registered_ready
from tests.programs import BROKEN, TRAP
from tests.workbench import Workbench

Rows = Callable[..., list[Any]]

TEXTS = ["null", "1.0", "-0", '"é 😀 \\u00e9"', '{"b": 1,   "a": [ ] }', "[[1], [ ]]", '{"a": "],[", "c": "\\"]"}']


def test_a_batch_is_accepted_whole_and_answered_in_its_order(
    client: FlaskClient, workbench: Workbench, rows: Rows
) -> None:
    function = registered_ready(client, workbench)
    response = client.post(f"/functions/{function['id']}/execute-batch", json={"inputs": list(range(1000))})
    ids = response.get_json()["executionIds"]
    assert (response.status_code, len(set(ids)), sorted(ids)) == (202, 1000, ids)
    # Each has its row and a message of its own that names it, in the same order, behind whatever somebody waits for
    stored = rows("SELECT id::text, status, input::text, attempts FROM executions ORDER BY id")
    assert stored == [(each, "PENDING", str(number), 0) for number, each in enumerate(ids)]
    assert rows("SELECT DISTINCT priority FROM broker.messages") == [(3,)]
    named = rows("SELECT execution_id::text, payload #>> '{headers,id}', payload ->> 'body' FROM broker.messages")
    assert [(each, each) for each in ids] == [(execution, task) for execution, task, _ in named]
    assert all(f'"execution_id":"{execution}"' in body for execution, _, body in named)
    # And where to look for them
    listed = client.get(response.headers["Location"] + "&limit=200").get_json()["items"]
    assert [item["id"] for item in listed] == ids[:-201:-1]


def test_the_inputs_of_a_batch_are_kept_to_the_letter(client: FlaskClient, workbench: Workbench) -> None:
    function = registered_ready(client, workbench)
    data = f'{{ "inputs" : [ {" , ".join(TEXTS)}\n] }}'.encode()
    response = client.post(f"/functions/{function['id']}/execute-batch", data=data, content_type="application/json")
    workbench.drain()
    for each, text in zip(response.get_json()["executionIds"], TEXTS, strict=True):
        answer = client.get(f"/executions/{each}").text
        assert f'"input":{text},' in answer
        assert f'"output":{text},' in answer


def test_a_batch_can_name_its_version(client: FlaskClient, workbench: Workbench, rows: Rows) -> None:
    function = registered_ready(client, workbench)
    client.put(f"/functions/{function['id']}", json={"source": TRAP})
    workbench.drain()
    url = f"/functions/{function['id']}/execute-batch"
    assert client.post(url, json={"inputs": [1, 2], "version": 1}).status_code == 202
    assert rows("SELECT version FROM executions") == [(1,), (1,)]
    assert_problem(client.post(url, json={"inputs": [1], "version": 3}), "unknown_reference")


def test_a_batch_needs_a_function_that_is_ready(client: FlaskClient, rows: Rows) -> None:
    function_id = register(client, source=BROKEN)["id"]
    response = client.post(f"/functions/{function_id}/execute-batch", json={"inputs": [1, 2]})
    assert assert_problem(response, "function_not_ready")["state"] == "PENDING"
    assert_problem(client.post(f"/functions/{ABSENT}/execute-batch", json={"inputs": [1]}), "not_found")
    assert rows("SELECT FROM executions") == []


def test_one_input_that_is_too_large_refuses_them_all(
    client: FlaskClient, workbench: Workbench, rows: Rows, settings: Settings
) -> None:
    function = registered_ready(client, workbench)
    inputs = [1] * 17 + ["x" * settings.max_input_bytes]
    response = client.post(f"/functions/{function['id']}/execute-batch", json={"inputs": inputs})
    body = assert_problem(response, "too_large")
    assert (body["errors"][0]["pointer"], body["limit"]) == ("/inputs/17", settings.max_input_bytes)
    whole = {"inputs": ["x" * (settings.max_input_bytes - 2)] * 6}
    assert_problem(client.post(f"/functions/{function['id']}/execute-batch", json=whole), "too_large")
    assert rows("SELECT FROM executions") == []


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"inputs": [1, {"a": "\0"}]}, "/inputs/1"),
        ({"inputs": []}, "/inputs"),
        ({"inputs": [0] * 1001}, "/inputs"),
        ({"inputs": {}}, "/inputs"),
        ({"inputs": None}, "/inputs"),
        ({}, "/inputs"),
        ({"inputs": [1], "version": "X"}, "/version"),
        ({"inputs": [1], "callback": {}}, "/callback"),
    ],
)
def test_what_cannot_be_honoured_in_a_batch_is_refused_and_named(
    client: FlaskClient, body: dict[str, Any], pointer: str
) -> None:
    response = client.post(f"/functions/{register(client)['id']}/execute-batch", json=body)
    assert [error["pointer"] for error in assert_problem(response, "validation_error")["errors"]] == [pointer]
