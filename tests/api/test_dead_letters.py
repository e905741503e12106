"""Messages that were set aside: listed, read, redriven, removed."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from app.operations import letters, upkeep
from app.platform import Platform
from tests.api.answers import assert_problem, register, registered_ready
from tests.programs import NAP, TRAP
from tests.workbench import Workbench

Rows = Callable[..., list[Any]]

URL = "/operations/dead-letters"

KILL = """
UPDATE broker.messages SET state = 'dead', dead_reason = 'worker_lost', died_at = now(), losses = 3, holder = NULL
WHERE state <> 'dead'
"""


KILLED = """
INSERT INTO broker.messages (queue, state, dead_reason, died_at, payload)
SELECT %s, 'dead', 'rejected', now(), %s FROM generate_series(1, %s)
"""


def listed(client: FlaskClient, query: str = "") -> list[dict[str, Any]]:
    """The dead letters."""
    items: list[dict[str, Any]] = client.get(f"{URL}?{query}").get_json()["items"]
    return items


def redrive(client: FlaskClient, path: str = "", **wanted: Any) -> int:
    """How many are redriven."""
    response = client.post(f"{URL}{path}/redrive", **({} if path else {"json": {"filter": wanted}}))
    assert response.status_code == 202, response.text
    count: int = response.get_json()["count"]
    return count


def lose_compilation(rows: Rows) -> None:
    """Let what waits for compilation have killed its workers."""
    rows(KILL)
    rows("UPDATE versions SET status = 'FAILED', compile_error = 'lost', compiled_at = now() WHERE status = 'PENDING'")


@pytest.fixture
def lost(client: FlaskClient, workbench: Workbench, rows: Rows) -> str:
    """An execution that killed its workers."""
    function = registered_ready(client, workbench)
    response = client.post(
        f"/functions/{function['id']}/execute", json={"input": [7]}, headers={"Prefer": "respond-async"}
    )
    execution_id: str = response.get_json()["id"]
    rows(KILL)
    rows(
        "UPDATE executions SET status = 'FAILED', error_type = 'WORKER_LOST', completed_at = now() WHERE id = %s",
        execution_id,
    )
    return execution_id


def test_a_letter_is_listed_and_read_with_every_byte(client: FlaskClient, lost: str, rows: Rows) -> None:
    (letter,) = listed(client)
    assert (letter["queue"], letter["reason"], letter["task"]) == ("execute", "worker_lost", "executions.run")
    assert (letter["executionId"], letter["losses"]) == (lost, 3)
    assert "payload" not in letter
    whole = client.get(f"{URL}/{letter['id']}").get_json()
    assert whole == letter | {"payload": rows("SELECT payload::text FROM broker.messages")[0][0]}
    assert lost in json.loads(whole["payload"])["body"]


def test_letters_are_chosen(client: FlaskClient, lost: str, rows: Rows) -> None:
    rows(
        "INSERT INTO broker.messages (queue, state, dead_reason, died_at, payload) "
        "SELECT 'elsewhere', 'dead', 'undecodable', now(), '{}' FROM generate_series(1, 3)"
    )
    assert len(listed(client)) == 4
    assert len(listed(client, "queue=execute")) == 1
    assert len(listed(client, "reason=undecodable")) == 3
    assert len(listed(client, "queue=execute&reason=undecodable")) == 0
    page = client.get(f"{URL}?limit=3").get_json()
    assert len(page["items"]) == 3
    rest = client.get(f"{URL}?limit=3&cursor={page['nextCursor']}").get_json()
    assert [one["executionId"] for one in rest["items"]] == [lost]


def test_an_execution_is_replayed(client: FlaskClient, lost: str, workbench: Workbench) -> None:
    (letter,) = listed(client)
    assert redrive(client, f"/{letter['id']}") == 1
    assert listed(client) == []
    assert workbench.drain() == 1
    (replayed, original) = client.get("/executions").get_json()["items"]
    assert (replayed["replayOf"], replayed["status"]) == (lost, "COMPLETED")
    assert (original["id"], original["status"]) == (lost, "FAILED")
    assert_problem(client.post(f"{URL}/{letter['id']}/redrive"), "not_found")


def test_what_cannot_begin_anew_stays(client: FlaskClient, lost: str, rows: Rows) -> None:
    rows("UPDATE versions SET retired_at = now()")
    assert redrive(client) == 0
    assert len(listed(client)) == 1
    assert client.get("/audit-events?action=dead_letter.redrive").get_json()["items"] == []


def test_a_version_is_built_again_as_another_one(client: FlaskClient, workbench: Workbench, rows: Rows) -> None:
    function = register(client)
    lose_compilation(rows)
    assert redrive(client, queue="compile") == 1
    assert workbench.drain() == 1
    again = client.get(f"/functions/{function['id']}").get_json()
    assert (again["status"], again["activeVersion"], again["source"]) == ("READY", 2, function["source"])


def test_a_version_is_not_built_again_after_newer_code_was_sent(
    client: FlaskClient, workbench: Workbench, rows: Rows
) -> None:
    # Given a version whose compilation was lost, and newer code that is active
    url = f"/functions/{registered_ready(client, workbench)['id']}"
    client.put(url, json={"source": TRAP})
    lose_compilation(rows)
    client.put(url, json={"source": NAP})
    workbench.drain()
    # When its letter is redriven
    (letter,) = listed(client)
    refused = assert_problem(client.post(f"{URL}/{letter['id']}/redrive"), "version_superseded")
    assert refused["latest"] == 3
    assert redrive(client) == 0
    # Then it stays, and the newer code is active
    assert listed(client) == [letter]
    assert workbench.drain() == 0
    function = client.get(url).get_json()
    assert (function["activeVersion"], function["latestVersion"]["number"]) == (3, 3)


def test_a_version_that_is_built_again_does_not_replace_the_one_that_was_chosen(
    client: FlaskClient, workbench: Workbench, rows: Rows
) -> None:
    # Given a version whose compilation was lost, after which somebody decided for another one
    url = f"/functions/{registered_ready(client, workbench)['id']}"
    client.put(url, json={"source": TRAP})
    lose_compilation(rows)
    client.post(f"{url}/versions/1/activate")
    # When it is built again
    assert redrive(client) == 1
    assert workbench.drain() == 1
    # Then it is READY, and the decision stands until newer code is sent
    function = client.get(url).get_json()
    assert (function["activeVersion"], function["latestVersion"]["status"]) == (1, "READY")
    client.put(url, json={"source": NAP})
    workbench.drain()
    assert client.get(url).get_json()["activeVersion"] == 4


def test_a_verification_is_asked_for_again(client: FlaskClient, workbench: Workbench, rows: Rows) -> None:
    url = f"/functions/{registered_ready(client, workbench)['id']}/versions/1"
    client.post(f"{url}/verify", headers={"Prefer": "respond-async"})
    rows(KILL)
    rows("UPDATE versions SET verification = 'FAILED', verified_at = now(), verification_reason = 'lost'")
    assert redrive(client) == 1
    assert workbench.drain() == 1
    assert client.get(url).get_json()["verification"] == "MATCHES"


def test_what_is_to_be_removed_is_said_in_the_query(client: FlaskClient, lost: str) -> None:
    assert_problem(client.delete(URL, json={"filter": {"queue": "nope"}}), "unsupported")
    assert client.delete(f"{URL}?queue=nope").get_json() == {"count": 0}
    assert len(listed(client)) == 1
    assert client.delete(URL).get_json() == {"count": 1}


def test_the_letters_of_a_function_outlive_it(client: FlaskClient, lost: str) -> None:
    (letter,) = listed(client)
    assert client.delete(f"/functions/{letter['functionId']}").status_code == 204
    assert listed(client) == [letter]
    assert redrive(client) == 0
    assert listed(client) == [letter]


def test_any_other_message_is_delivered_once_more(client: FlaskClient, rows: Rows) -> None:
    payload = '{"headers": {"task": "somebody.elses"}, "body": "x"}'
    rows(
        "INSERT INTO broker.messages (queue, state, dead_reason, died_at, losses, deliveries, payload) "
        "VALUES ('elsewhere', 'dead', 'requeued', now(), 2, 9, %s)",
        payload,
    )
    assert redrive(client, reason="requeued") == 1
    ((state, losses, deliveries, kept),) = rows("SELECT state, losses, deliveries, payload::text FROM broker.messages")
    assert (state, losses, deliveries, kept) == ("ready", 0, 0, payload)


def kill_nothings(rows: Rows, count: int) -> None:
    """Letters that cannot begin anew, because they name no version."""
    payload = '{"headers": {"task": "functions.compile"}, "body": "nothing"}'
    rows(KILLED, "compile", payload, count)


def kill_others(rows: Rows, count: int) -> None:
    """Letters of which Kiln knows nothing, so that they are delivered once more."""
    rows(KILLED, "elsewhere", "{}", count)


def test_letters_that_name_nothing_stay(client: FlaskClient, rows: Rows) -> None:
    for payload in (
        '{"headers": {"task": "functions.compile"}, "body": "nothing"}',
        '{"headers": {"task": "functions.compile"}}',
    ):
        rows(
            "INSERT INTO broker.messages (queue, state, dead_reason, died_at, payload) "
            "VALUES ('compile', 'dead', 'rejected', now(), %s)",
            payload,
        )
    assert redrive(client) == 0
    assert len(listed(client)) == 2


def test_letters_that_cannot_begin_anew_do_not_hide_older_ones(
    client: FlaskClient, lost: str, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given more that name nothing, after one that does, than are redriven in one request
    monkeypatch.setattr(letters, "MOST_REDRIVEN", 3)
    monkeypatch.setattr(letters, "MOST_LOOKED_AT", 9)
    kill_nothings(rows, 8)
    # When they are redriven
    assert redrive(client) == 1
    # Then only the others are left
    assert {letter["executionId"] for letter in listed(client)} == {None}
    # And no more are looked at than may be
    kill_others(rows, 1)
    kill_nothings(rows, 1)
    assert redrive(client) == 1
    kill_others(rows, 1)
    kill_nothings(rows, 9)
    assert redrive(client) == 0


def test_no_more_are_redriven_than_may_be(client: FlaskClient, rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(letters, "MOST_REDRIVEN", 3)
    monkeypatch.setattr(letters, "MOST_LOOKED_AT", 9)
    kill_others(rows, 1)
    kill_nothings(rows, 2)
    kill_others(rows, 4)
    assert [redrive(client), redrive(client), redrive(client)] == [3, 2, 0]


def test_letters_are_removed(client: FlaskClient, lost: str, rows: Rows) -> None:
    (letter,) = listed(client)
    assert client.delete(f"{URL}?queue=compile").get_json() == {"count": 0}
    assert client.delete(f"{URL}/{letter['id']}").status_code == 204
    assert_problem(client.delete(f"{URL}/{letter['id']}"), "not_found")
    assert_problem(client.get(f"{URL}/{letter['id']}"), "not_found")
    rows(
        "INSERT INTO broker.messages (queue, state, dead_reason, died_at, payload) "
        "VALUES ('a', 'dead', 'rejected', now(), '{}'), ('b', 'dead', 'rejected', now(), '{}')"
    )
    assert client.delete(URL).get_json() == {"count": 2}
    events = client.get("/audit-events?action=dead_letter.delete&outcome=DONE").get_json()["items"]
    assert [event["after"] for event in events] == [{"count": 2}, None]


def test_old_letters_go_by_themselves(client: FlaskClient, lost: str, platform: Platform, rows: Rows) -> None:
    (chore,) = (one for one in upkeep.CHORES if one.name == "dead letters")
    rows("UPDATE broker.messages SET died_at = now() - interval '29 days'")
    assert upkeep.do_chore(platform, chore)
    assert len(listed(client)) == 1
    rows("UPDATE broker.messages SET died_at = now() - interval '31 days'")
    assert upkeep.do_chore(platform, chore)
    assert listed(client) == []


@pytest.mark.parametrize("path", ["/0", "/x", f"/{2**63}", "/-1"])
def test_an_id_that_none_can_have_is_an_address_that_nothing_has(client: FlaskClient, path: str) -> None:
    assert_problem(client.get(f"{URL}{path}"), "not_found")
