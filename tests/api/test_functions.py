"""Functions over HTTP: register, observe compilation, change, delete."""

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NoReturn
from uuid import UUID

import pytest
import wasmtime
from flask.testing import FlaskClient
from kombu import Connection

from app.broker import Delivery
from app.functions import compiling, languages, queries
from app.functions.domain import MAX_DELIVERIES
from app.platform import Platform
from app.settings import Settings
from app.toolchains import LANGUAGES, ToolchainMissing
from tests.api.answers import ABSENT, assert_problem, register, registered_ready
from tests.programs import BROKEN, ECHO, TRAP
from tests.toolchains.running import lacking
from tests.workbench import Workbench

Rows = Callable[..., list[Any]]


def test_a_registered_function_is_answered_at_once_and_pending(client: FlaskClient) -> None:
    response = client.post("/functions", json={"name": "echo", "language": "wat", "source": ECHO, "description": "d"})
    body = response.get_json()
    assert response.status_code == 201
    assert response.headers["Location"] == f"/functions/{body['id']}"
    assert response.headers["ETag"].startswith('"')
    assert body["functionId"] == body["id"]
    assert (body["status"], body["compileError"], body["activeVersion"]) == ("PENDING", None, None)
    assert body["latestVersion"] == {"number": 1, "status": "PENDING", "compileError": None}
    assert (body["name"], body["language"], body["source"], body["description"]) == ("echo", "wat", ECHO, "d")
    assert body["limits"] == {"timeoutMs": 3000, "memoryMb": 64}
    assert datetime.fromisoformat(body["createdAt"]).tzinfo == UTC
    assert body["createdAt"].endswith("Z")


def test_a_function_and_its_message_are_one_transaction(client: FlaskClient, rows: Rows) -> None:
    function = register(client)
    assert rows("SELECT queue, function_id::text FROM broker.messages") == [("compile", function["id"])]
    assert_problem(client.post("/functions", json={"name": "echo", "language": "wat", "source": ECHO}), "name_taken")
    assert len(rows("SELECT FROM broker.messages")) == 1


def test_a_function_without_an_owner_takes_turns_with_the_owners(
    client: FlaskClient, workbench: Workbench, rows: Rows
) -> None:
    # Given a function whose owner was deleted, and one user's that wait for compilation
    orphan = registered_ready(client, workbench, "orphan")["id"]
    rows("UPDATE functions SET owner_id = NULL")
    others = [register(client, f"other-{number}")["id"] for number in range(3)]
    # When it is changed, and verified
    client.put(f"/functions/{orphan}", json={"source": TRAP})
    client.post(f"/functions/{orphan}/versions/1/verify", headers={"Prefer": "respond-async"})
    # Then it has every second turn, and not what the others leave
    claimed = [workbench.claim(workbench.COMPILE) for _ in range(5)]
    turns = [json.loads(message["body"])[1]["function_id"] for message in claimed if message is not None]
    assert turns == [others[0], orphan, others[1], orphan, others[2]]


def test_compilation_makes_a_function_ready(client: FlaskClient, workbench: Workbench, rows: Rows) -> None:
    function = registered_ready(client, workbench)
    assert (function["activeVersion"], function["latestVersion"]["status"]) == (1, "READY")
    assert rows("SELECT FROM broker.messages") == []
    assert rows("SELECT count(*) FROM native_code") == [(1,)]


def test_a_compile_error_names_the_authors_line(client: FlaskClient, workbench: Workbench) -> None:
    function_id = register(client, source=BROKEN)["id"]
    workbench.drain()
    function = client.get(f"/functions/{function_id}").get_json()
    assert function["status"] == "FAILED"
    assert function["compileError"].startswith("source.wat:3:")
    assert function["latestVersion"]["compileError"] == function["compileError"]


def test_a_prebuilt_module_is_registered_in_base64(client: FlaskClient, workbench: Workbench) -> None:
    module = base64.b64encode(wasmtime.wat2wasm(ECHO)).decode()
    response = client.post("/functions", json={"name": "prebuilt", "language": "wasm", "wasm": module})
    workbench.drain()
    function = client.get(response.headers["Location"]).get_json()
    assert (function["status"], function["source"]) == ("READY", None)


def test_a_module_of_no_known_shape_fails_and_says_which_exports_it_has(
    client: FlaskClient, workbench: Workbench
) -> None:
    function_id = register(client, source='(module (func (export "main")))')["id"]
    workbench.drain()
    function = client.get(f"/functions/{function_id}").get_json()
    assert function["status"] == "FAILED"
    assert "handle" in function["compileError"]
    assert "main" in function["compileError"]


def test_new_code_becomes_a_new_version_while_the_old_one_serves(client: FlaskClient, workbench: Workbench) -> None:
    function = registered_ready(client, workbench)
    changed = client.put(f"/functions/{function['id']}", json={"source": TRAP}).get_json()
    assert (changed["status"], changed["activeVersion"]) == ("READY", 1)
    assert changed["latestVersion"] == {"number": 2, "status": "PENDING", "compileError": None}
    workbench.drain()
    assert client.get(f"/functions/{function['id']}").get_json()["activeVersion"] == 2


def test_new_code_that_fails_leaves_the_old_version_serving(client: FlaskClient, workbench: Workbench) -> None:
    function = registered_ready(client, workbench)
    client.put(f"/functions/{function['id']}", json={"source": BROKEN})
    workbench.drain()
    body = client.get(f"/functions/{function['id']}").get_json()
    assert (body["status"], body["activeVersion"], body["latestVersion"]["status"]) == ("READY", 1, "FAILED")
    assert body["compileError"].startswith("source.wat:")


def test_a_first_version_that_failed_is_mended_by_a_second(client: FlaskClient, workbench: Workbench) -> None:
    function_id = register(client, source=BROKEN)["id"]
    workbench.drain()
    client.put(f"/functions/{function_id}", json={"source": ECHO})
    workbench.drain()
    body = client.get(f"/functions/{function_id}").get_json()
    assert (body["status"], body["activeVersion"], body["compileError"]) == ("READY", 2, None)


def stopped(platform: Platform, delivery: Delivery, function_id: UUID, _monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator stops the compilation."""
    compiling.stop(platform, delivery, function_id, 1)


def given_up(platform: Platform, delivery: Delivery, function_id: UUID, _monkeypatch: pytest.MonkeyPatch) -> None:
    """The platform has failed for the last time."""
    assert compiling.give_up(platform, replace(delivery, deliveries=MAX_DELIVERIES), function_id, 1)


def lost(platform: Platform, delivery: Delivery, _function_id: UUID, _monkeypatch: pytest.MonkeyPatch) -> None:
    """Its workers have died with it."""
    options = {"on_dead": queries.ON_DEAD}
    with Connection(platform.settings.database_url, transport_options=options) as connection:
        connection.default_channel.bury(delivery, reason="worker_lost")


def missing(platform: Platform, delivery: Delivery, function_id: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiler is not installed."""

    def compiled(*_arguments: object) -> NoReturn:
        raise ToolchainMissing

    with monkeypatch.context() as patch:
        patch.setattr(languages, "compiled", compiled)
        compiling.compile_version(platform, delivery, function_id, 1)


@pytest.mark.parametrize("fail", [stopped, given_up, lost, missing])
def test_code_that_the_platform_failed_to_compile_is_compiled_when_it_is_sent_again(
    client: FlaskClient,
    workbench: Workbench,
    platform: Platform,
    monkeypatch: pytest.MonkeyPatch,
    fail: Callable[[Platform, Delivery, UUID, pytest.MonkeyPatch], None],
) -> None:
    # Given a version that has FAILED by no fault of its source
    url = f"/functions/{register(client)['id']}"
    message = workbench.claim(workbench.COMPILE)
    assert message is not None
    fail(platform, Delivery.of(message["properties"]), UUID(url.rpartition("/")[2]), monkeypatch)
    function = client.get(url)
    assert function.get_json()["status"] == "FAILED"
    # When fields are changed, then it is not compiled
    assert client.put(url, json={"description": "same"}).get_json()["latestVersion"]["number"] == 1
    # When the same source is sent, then it is
    again = client.put(url, json={"source": ECHO})
    assert again.get_json()["latestVersion"] == {"number": 2, "status": "PENDING", "compileError": None}
    assert again.headers["ETag"] != function.headers["ETag"]
    # And once only
    assert client.put(url, json={"source": ECHO}).headers["ETag"] == again.headers["ETag"]
    workbench.drain()
    assert client.put(url, json={"source": ECHO}).get_json()["activeVersion"] == 2


def test_code_that_does_not_compile_is_not_compiled_when_it_is_sent_again(
    client: FlaskClient, workbench: Workbench
) -> None:
    url = f"/functions/{register(client, source=BROKEN)['id']}"
    workbench.drain()
    function = client.get(url)
    again = client.put(url, json={"source": BROKEN, "language": "wat"})
    assert (again.get_json(), again.headers["ETag"]) == (function.get_json(), function.headers["ETag"])


def test_fields_change_without_a_new_version(client: FlaskClient, workbench: Workbench) -> None:
    function = registered_ready(client, workbench)
    changes = {"name": "renamed", "description": "new", "limits": {"timeoutMs": 100}, "source": ECHO, "language": "wat"}
    body = client.put(f"/functions/{function['id']}", json=changes).get_json()
    assert (body["name"], body["description"], body["latestVersion"]["number"]) == ("renamed", "new", 1)
    assert body["limits"] == {"timeoutMs": 100, "memoryMb": 64}


def test_if_match_refuses_a_change_of_what_has_changed(client: FlaskClient) -> None:
    response = client.post("/functions", json={"name": "echo", "language": "wat", "source": ECHO})
    url, tag = response.headers["Location"], response.headers["ETag"]
    assert client.put(url, json={"description": "1"}, headers={"If-Match": tag}).status_code == 200
    assert_problem(client.put(url, json={"description": "2"}, headers={"If-Match": tag}), "precondition_failed")
    assert_problem(client.put(url, json={"description": "2"}, headers={"If-Match": 'W/"x"'}), "precondition_failed")
    assert_problem(client.delete(url, headers={"If-Match": tag}), "precondition_failed")
    assert client.delete(url, headers={"If-Match": "*"}).status_code == 204


def test_functions_are_listed_newest_first_without_source(client: FlaskClient) -> None:
    names = [f"f{number}" for number in range(5)]
    for name in names:
        register(client, name)
    first = client.get("/functions?limit=3").get_json()
    second = client.get(f"/functions?limit=3&cursor={first['nextCursor']}").get_json()
    assert [item["name"] for item in first["items"] + second["items"]] == names[::-1]
    assert second["nextCursor"] is None
    assert all("source" not in item for item in first["items"])


def test_a_deleted_function_is_gone_and_its_name_is_free(client: FlaskClient, rows: Rows) -> None:
    function_id = register(client)["id"]
    assert client.delete(f"/functions/{function_id}").status_code == 204
    for response in (
        client.get(f"/functions/{function_id}"),
        client.put(f"/functions/{function_id}", json={}),
        client.delete(f"/functions/{function_id}"),
        client.post(f"/functions/{function_id}/execute", json={}),
        client.get(f"/functions/{function_id}/executions"),
    ):
        assert_problem(response, "not_found")
    assert client.get("/functions").get_json()["items"] == []
    assert rows("SELECT FROM broker.messages") == []
    register(client)


def test_a_function_deleted_while_it_compiles_stays_deleted(
    client: FlaskClient, workbench: Workbench, rows: Rows
) -> None:
    function_id = register(client)["id"]
    message = workbench.claim(workbench.COMPILE)
    assert message is not None
    client.delete(f"/functions/{function_id}")
    workbench.work(message)
    assert_problem(client.get(f"/functions/{function_id}"), "not_found")
    assert rows("SELECT FROM broker.messages") == []


@pytest.mark.parametrize("name", ["", "Echo", "-a", "a_b", "ä", "a" * 64, "a\n", "a/b"])
def test_a_name_that_breaks_the_rule_is_refused(client: FlaskClient, name: str) -> None:
    body = assert_problem(
        client.post("/functions", json={"name": name, "language": "wat", "source": ECHO}), "validation_error"
    )
    assert body["errors"][0]["pointer"] == "/name"


def test_what_every_function_has_is_accepted_back(client: FlaskClient) -> None:
    function = register(client, environmentId=None, retry=None, allowedUsers=[], allowedGroups=[])
    assert (function["environmentId"], function["allowedUsers"]) == (None, [])


@pytest.mark.parametrize(
    ("members", "pointer"),
    [
        ({"language": "cobol"}, "/language"),
        ({"source": "a\0b"}, "/source"),
        ({"source": 1}, "/source"),
        ({"wasm": "AAAA"}, "/wasm"),
        ({"language": "wasm"}, "/source"),
        ({"limits": {"timeoutMs": 0}}, "/limits/timeoutMs"),
        ({"limits": {"timeoutMs": True}}, "/limits/timeoutMs"),
        ({"limits": {"memoryMb": 100_000}}, "/limits/memoryMb"),
        ({"limits": {"cpu": 1}}, "/limits/cpu"),
        ({"allowedUsers": ["somebody"]}, "/allowedUsers/0"),
        ({"environmentId": "production"}, "/environmentId"),
        ({"id": "x"}, "/id"),
    ],
)
def test_a_member_that_breaks_a_rule_is_named(client: FlaskClient, members: dict[str, Any], pointer: str) -> None:
    body = {"name": "echo", "language": "wat", "source": ECHO} | members
    assert assert_problem(client.post("/functions", json=body), "validation_error")["errors"][0]["pointer"] == pointer


def test_a_source_over_the_limit_is_refused_with_the_limit(client: FlaskClient, settings: Settings) -> None:
    source = " " * (settings.max_source_bytes + 1)
    response = client.post("/functions", json={"name": "big", "language": "wat", "source": source})
    body = assert_problem(response, "too_large")
    assert (body["limit"], body["actual"]) == (settings.max_source_bytes, settings.max_source_bytes + 1)


@pytest.mark.parametrize("function_id", [str(ABSENT), "1", "x", "%00", "é", "0" * 36, str(ABSENT).replace("-", "")])
def test_absent_and_malformed_ids_answer_alike(client: FlaskClient, function_id: str) -> None:
    assert_problem(client.get(f"/functions/{function_id}"), "not_found")
    assert_problem(client.put(f"/functions/{function_id}", json={}), "not_found")
    assert_problem(client.post(f"/functions/{function_id}/execute", json={}), "not_found")


def test_without_a_compile_worker_no_language_can_be_compiled(client: FlaskClient) -> None:
    items = client.get("/languages").get_json()["items"]
    assert {(item["status"], item["reason"]) for item in items} == {("missing", "No compile worker is running.")}


def test_the_languages_say_what_to_start_from(client: FlaskClient, workbench: Workbench) -> None:
    workbench.prepare()
    items = client.get("/languages").get_json()["items"]
    assert [item["language"] for item in items] == list(LANGUAGES)
    assert all(item["version"] for item in items)
    here = [item for item in items if not lacking(item["language"])]
    assert all(item["installed"] and item["status"] == "ready" for item in here)
    for item in (item for item in here if item["template"]):
        body = {"name": f"from-{item['language']}", "language": item["language"], "source": item["template"]}
        client.post("/functions", json=body)
    workbench.drain()
    assert {item["status"] for item in client.get("/functions").get_json()["items"]} == {"READY"}
