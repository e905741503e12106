"""Environments over HTTP."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.factory import create_app
from app.rules import Scope
from app.settings import Settings
from tests.accounts.world import World
from tests.api.answers import ABSENT, assert_problem, register
from tests.conftest import with_key
from tests.environments.answers import SECRET, created, entry, patched
from tests.workbench import Workbench

Rows = Callable[..., list[Any]]


def test_an_environment_is_answered_without_the_values_of_secrets(client: FlaskClient) -> None:
    body = {"name": "production", "entries": [entry("TOKEN", SECRET, secret=True), entry("REGION", "eu")]}
    response = client.post("/environments", json=body)
    made = response.get_json()
    assert (response.status_code, response.headers["Location"]) == (201, f"/environments/{made['id']}")
    assert made["entries"] == [
        {"key": "REGION", "secret": False, "value": "eu"},
        {"key": "TOKEN", "secret": True},
    ]
    assert (made["name"], made["description"], made["revision"]) == ("production", "", 1)
    read = client.get(response.headers["Location"])
    assert (read.get_json(), read.headers["ETag"]) == (made, response.headers["ETag"])
    assert not read.headers["ETag"].startswith("W/")


def test_a_list_shows_keys_and_no_values(client: FlaskClient) -> None:
    made = created(client, entry("B", "eu"), entry("A", SECRET, secret=True))
    empty = created(client, name="staging")
    items = client.get("/environments").get_json()["items"]
    assert [item["id"] for item in items] == [empty["id"], made["id"]]
    assert items[1]["entries"] == [{"key": "A", "secret": True}, {"key": "B", "secret": False}]
    first = client.get("/environments?limit=1").get_json()
    second = client.get(f"/environments?limit=1&cursor={first['nextCursor']}").get_json()
    assert [first["items"], second["items"]] == [items[:1], items[1:]]
    assert second["nextCursor"] is None


def test_a_whole_list_replaces_what_was_there_and_keeps_secrets_without_a_value(
    client: FlaskClient, rows: Rows
) -> None:
    made = created(client, entry("KEPT", SECRET, secret=True), entry("GONE", "1"), entry("PLAIN", "2"))
    sealed = "SELECT sealed, version FROM environment_entries WHERE key = 'KEPT'"
    before = rows(sealed)
    sent = {"entries": [entry("KEPT", secret=True), entry("PLAIN", "2"), entry("NEW", "3")]}
    after = client.put(f"/environments/{made['id']}", json=sent).get_json()
    assert after["entries"] == [
        {"key": "KEPT", "secret": True},
        {"key": "NEW", "secret": False, "value": "3"},
        {"key": "PLAIN", "secret": False, "value": "2"},
    ]
    assert after["revision"] == 2
    assert rows(sealed) == before


def test_only_a_change_of_entries_is_a_new_revision(client: FlaskClient) -> None:
    made = created(client, entry("A", "1"))
    address = f"/environments/{made['id']}"
    tags = [client.get(address).headers["ETag"]]
    for body, revision in (
        ({"name": "renamed", "description": "Where it is real."}, 1),
        ({"entries": [entry("A", "1")]}, 1),
        ({"entries": [entry("A", "2")]}, 2),
        ({"entries": []}, 3),
    ):
        response = client.put(address, json=body)
        assert response.get_json()["revision"] == revision
        tags.append(response.headers["ETag"])
    # What was sent again as it is has changed nothing.
    assert tags[1] == tags[2]
    assert len(set(tags)) == len(tags) - 1
    assert client.get(address).get_json()["name"] == "renamed"


def test_some_entries_are_set_and_others_removed(client: FlaskClient) -> None:
    made = created(client, entry("A", "1"), entry("B", SECRET, secret=True), entry("C", "3"))
    after = patched(client, made, set=[entry("D", ""), entry("B", "another")], remove=["A", "NEVER_THERE"])
    # A secret stays one unless the request says otherwise.
    assert after["entries"] == [
        {"key": "B", "secret": True},
        {"key": "C", "secret": False, "value": "3"},
        {"key": "D", "secret": False, "value": ""},
    ]
    assert after["revision"] == 2
    assert patched(client, made)["revision"] == 2
    shown = patched(client, made, set=[entry("B", "shown", secret=False)])
    assert shown["entries"][0] == {"key": "B", "secret": False, "value": "shown"}


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"set": [entry("A", "1"), entry("A", "2")]}, "/set/1/key"),
        ({"set": [entry("A", "1")], "remove": ["A"]}, "/set/0/key"),
        ({"set": [entry("A")]}, "/set/0"),
        ({"set": [entry("PLAIN", secret=True)]}, "/set/0"),
        ({"set": [entry("HIDDEN", secret=False)]}, "/set/0"),
        ({"set": [entry("A", "ä" * 8193)]}, "/set/0/value"),
        ({"set": [entry(f"K{number}", "") for number in range(199)]}, "/set"),
    ],
)
def test_an_entry_that_cannot_be_is_named(client: FlaskClient, body: dict[str, Any], pointer: str) -> None:
    made = created(client, entry("PLAIN", "1"), entry("HIDDEN", SECRET, secret=True))
    address = f"/environments/{made['id']}"
    problem = assert_problem(client.patch(f"{address}/entries", json=body), "entry_refused")
    assert [error["pointer"] for error in problem["errors"]] == [pointer]
    assert client.get(address).get_json() == made


@pytest.mark.parametrize(
    ("member", "pointer"),
    [
        (entry("1A", "x"), "/entries/0/key"),
        (entry("A-B", "x"), "/entries/0/key"),
        (entry("A\n", "x"), "/entries/0/key"),
        (entry("A" * 129, "x"), "/entries/0/key"),
        (entry("A", "a\0b"), "/entries/0/value"),
        (entry("A", "x" * 16_385), "/entries/0/value"),
        ({"key": "A", "value": "x", "secret": "true"}, "/entries/0/secret"),
    ],
)
def test_an_entry_that_breaks_a_rule_is_named(client: FlaskClient, member: dict[str, Any], pointer: str) -> None:
    response = client.post("/environments", json={"name": "x", "entries": [member]})
    assert assert_problem(response, "validation_error")["errors"][0]["pointer"] == pointer


def test_all_together_have_a_limit_that_kept_secrets_count_for(client: FlaskClient) -> None:
    # Given an environment that is full to the last byte
    made = created(client, *(entry(f"K{number}", "x" * 16_382, secret=True) for number in range(8)))
    # Then one byte more is refused, and what is taken away makes room
    more = client.patch(f"/environments/{made['id']}/entries", json={"set": [entry("K", "")]})
    problem = assert_problem(more, "too_large")
    assert (problem["limit"], problem["actual"]) == (131_072, 131_073)
    assert len(patched(client, made, set=[entry("K", "x" * 16_000)], remove=["K7"])["entries"]) == 8


def test_names_are_unique(client: FlaskClient) -> None:
    created(client)
    other = created(client, name="staging")
    assert_problem(client.post("/environments", json={"name": "production"}), "name_taken")
    assert_problem(client.put(f"/environments/{other['id']}", json={"name": "production"}), "name_taken")
    assert client.put(f"/environments/{other['id']}", json={"name": "staging"}).status_code == 200
    assert_problem(client.post("/environments", json={"name": "Production"}), "validation_error")


def test_what_has_changed_meanwhile_is_not_overwritten(client: FlaskClient) -> None:
    made = created(client, entry("A", "1"))
    address = f"/environments/{made['id']}"
    tag = {"If-Match": client.get(address).headers["ETag"]}
    assert client.patch(f"{address}/entries", json={"set": [entry("A", "2")]}, headers=tag).status_code == 200
    assert_problem(
        client.patch(f"{address}/entries", json={"set": [entry("A", "3")]}, headers=tag), "precondition_failed"
    )
    assert_problem(client.put(address, json={"name": "x"}, headers=tag), "precondition_failed")
    assert_problem(client.delete(address, headers=tag), "precondition_failed")
    assert client.get(address).get_json()["entries"][0]["value"] == "2"
    assert client.delete(address, headers={"If-Match": client.get(address).headers["ETag"]}).status_code == 204
    assert_problem(client.get(address), "not_found")


def test_one_that_a_function_uses_is_not_deleted(client: FlaskClient, workbench: Workbench, rows: Rows) -> None:
    made = created(client, entry("A", "1"))
    first = register(client, environmentId=made["id"])
    second = register(client, "second", environmentId=made["id"])
    assert first["environmentId"] == made["id"]
    address = f"/environments/{made['id']}"
    problem = assert_problem(client.delete(address), "environment_in_use")
    assert problem["functions"] == [first["id"], second["id"]]
    # One lets it go, the other is deleted
    assert client.put(f"/functions/{first['id']}", json={"environmentId": None}).get_json()["environmentId"] is None
    assert assert_problem(client.delete(address), "environment_in_use")["functions"] == [second["id"]]
    assert client.delete(f"/functions/{second['id']}").status_code == 204
    assert client.delete(address).status_code == 204
    assert rows("SELECT FROM environment_entries") == []


def test_a_deletion_waits_for_whoever_begins_to_use_it(client: FlaskClient, settings: Settings) -> None:
    made = created(client)
    statement = """
        INSERT INTO functions (id, name, description, timeout_ms, memory_mb, latest_version, revision, created_at,
            updated_at, environment_id)
        VALUES (%s, 'late', '', 10, 1, 0, 1, now(), now(), %s)
    """
    with psycopg.connect(settings.database_url) as connection, ThreadPoolExecutor(1) as threads:
        connection.execute(statement, [uuid4(), made["id"]])
        deletion = threads.submit(client.delete, f"/environments/{made['id']}")
        with pytest.raises(TimeoutError):
            deletion.result(timeout=0.3)
        connection.commit()
        assert_problem(deletion.result(timeout=10), "environment_in_use")


def test_a_function_is_given_only_what_its_author_may_see(world: World, client: FlaskClient) -> None:
    author, other = world.user(), world.user()
    theirs, others = world.environment(users=[author.id]), world.environment(users=[other.id])
    ask = world.by_key("author", author).ask
    function = {"language": "wat", "source": "(module)"}
    made = ask("POST", "/functions", json=function | {"name": "good", "environmentId": str(theirs)})
    assert (made.status_code, made.get_json()["environmentId"]) == (201, str(theirs))
    address = f"/functions/{made.get_json()['id']}"
    for unknown in (others, ABSENT):
        refused = ask("POST", "/functions", json=function | {"name": "bad", "environmentId": str(unknown)})
        assert assert_problem(refused, "unknown_reference")["errors"][0]["pointer"] == "/environmentId"
        assert_problem(ask("PUT", address, json={"environmentId": str(unknown)}), "unknown_reference")
    # What an administrator has given it stays, and other members can be changed.
    assert client.put(address, json={"environmentId": str(others)}).status_code == 200
    kept = ask("PUT", address, json={"environmentId": str(others), "description": "x"})
    assert (kept.status_code, kept.get_json()["environmentId"]) == (200, str(others))
    assert ask("PUT", address, json={"environmentId": None}).get_json()["environmentId"] is None


def test_whom_it_is_not_shared_with_cannot_tell_it_from_one_that_is_absent(world: World, client: FlaskClient) -> None:
    inside, outside = world.user(), world.user()
    group = world.group(inside)
    made = created(client, entry("A", "1"), allowedGroups=[str(group)])
    insider, outsider = world.by_key("inside", inside), world.by_key("outside", outside)
    same = {"headers": {"X-Correlation-Id": "same"}}
    assert insider.ask("GET", f"/environments/{made['id']}").get_json() == made
    hidden, absent = (outsider.ask("GET", f"/environments/{one}", **same) for one in (made["id"], ABSENT))
    assert (hidden.status_code, hidden.data) == (404, absent.data)
    assert [len(one.ask("GET", "/environments").get_json()["items"]) for one in (insider, outsider)] == [1, 0]
    # Nobody but administrators writes, even where they may read.
    for asker in (insider, outsider):
        assert_problem(asker.ask("PUT", f"/environments/{made['id']}", json={"name": "x"}), "forbidden")
    # Once it is shared with everybody, everybody reads it.
    client.put(f"/environments/{made['id']}", json={"allowedGroups": []})
    assert outsider.ask("GET", f"/environments/{made['id']}").status_code == 200
    unknown = client.put(f"/environments/{made['id']}", json={"allowedUsers": [str(uuid4())]})
    assert_problem(unknown, "unknown_reference")


def test_the_audit_has_keys_and_no_values(client: FlaskClient) -> None:
    made = created(client, entry("A", "plain-value"), entry("B", SECRET, secret=True))
    patched(client, made, set=[entry("A", "other-value")], remove=["B"])
    client.put(f"/environments/{made['id']}", json={"name": "renamed"})
    client.delete(f"/environments/{made['id']}")
    response = client.get(f"/audit-events?resource={made['id']}")
    events = response.get_json()["items"][::-1]
    assert [event["action"] for event in events] == [
        "environment.create",
        "environment.update",
        "environment.update",
        "environment.delete",
    ]
    assert events[0]["after"]["setKeys"] == ["A", "B"]
    assert events[1]["after"] == {"revision": 2, "setKeys": ["A"], "removedKeys": ["B"]}
    assert (events[2]["before"], events[2]["after"]) == ({"name": "production"}, {"name": "renamed"})
    for value in ("plain-value", "other-value", SECRET):
        assert value not in response.text


def test_a_server_without_the_master_key_says_so_and_writes_nothing(
    app: Flask, client: FlaskClient, template: tuple[str, str]
) -> None:
    made = created(client, entry("TOKEN", SECRET, secret=True))
    other = create_app(replace(app.extensions["kiln"].settings, master_keys=(b"another key of thirty-two bytes.",)))
    keyless = with_key(other, template[1])
    body = {"set": [entry("TOKEN", "another", secret=True)]}
    problem = assert_problem(keyless.patch(f"/environments/{made['id']}/entries", json=body), "unavailable")
    assert "KILN_MASTER_KEY" in problem["detail"]
    assert client.get(f"/environments/{made['id']}").get_json() == made
    other.extensions["kiln.waiters"].close()
    other.extensions["kiln"].close()


def test_a_key_that_may_not_read_environments_gives_a_function_none(world: World, client: FlaskClient) -> None:
    made = created(client, entry("TOKEN", SECRET, secret=True))
    scopes = frozenset({Scope.FUNCTIONS_READ, Scope.FUNCTIONS_WRITE, Scope.FUNCTIONS_EXECUTE})
    narrow, whole = world.by_key("narrow", user := world.user(), scopes), world.by_key("whole", user)
    body = {"name": "taker", "language": "wat", "source": "(module)", "environmentId": made["id"]}
    assert_problem(narrow.ask("POST", "/functions", json=body), "scope_missing")
    function = whole.ask("POST", "/functions", json=body).get_json()
    assert function["environmentId"] == made["id"]
