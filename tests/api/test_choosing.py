"""Which version runs: activation, aliases, what is compared, and what is kept."""

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Connection, text
from structlog.testing import capture_logs

from app.functions import version_queries
from app.functions.domain import MOST_ALIASES
from app.operations import upkeep
from app.platform import Platform
from app.settings import Settings
from tests.api.answers import assert_problem, register, registered_ready
from tests.programs import BROKEN, ECHO, TRAP
from tests.workbench import Workbench

Rows = Callable[..., list[Any]]

ASYNC = {"Prefer": "respond-async"}


REFUSE = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
CREATE CONSTRAINT TRIGGER refuse AFTER UPDATE ON versions DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION refuse();
"""


def numbered(number: int) -> str:
    """A source that differs from others and does the same."""
    return f"{ECHO.strip()}\n;; {number}\n"


@pytest.fixture
def url(client: FlaskClient, workbench: Workbench) -> str:
    """A function with three READY versions."""
    url = f"/functions/{register(client, 'chosen', numbered(1))['id']}"
    for number in (2, 3):
        workbench.drain()
        client.put(url, json={"language": "wat", "source": numbered(number)})
    workbench.drain()
    return url


def version_of(client: FlaskClient, url: str, version: int | str | None = None) -> int:
    """Which version an execution is accepted for."""
    body = {} if version is None else {"version": version}
    response = client.post(f"{url}/execute", json=body, headers=ASYNC)
    assert response.status_code == 202, response.text
    accepted: int = response.get_json()["version"]
    return accepted


def test_activating_an_older_version_takes_effect_at_once_and_compiles_nothing(
    client: FlaskClient, url: str, workbench: Workbench
) -> None:
    assert version_of(client, url) == 3
    before = client.get(url)
    response = client.post(f"{url}/versions/1/activate")
    assert response.status_code == 200
    function = response.get_json()
    assert (function["activeVersion"], function["latestVersion"]["number"], function["status"]) == (1, 3, "READY")
    assert response.headers["ETag"] != before.headers["ETag"]
    assert not workbench.has_ready(workbench.COMPILE)
    assert version_of(client, url) == 1
    assert [one["isActive"] for one in client.get(f"{url}/versions").get_json()["items"]] == [False, False, True]


def test_new_code_serves_after_a_rollback_and_what_was_on_its_way_before_does_not(
    client: FlaskClient, url: str, workbench: Workbench
) -> None:
    # Given a version that waits for its compilation when somebody rolls back
    client.put(url, json={"language": "wat", "source": numbered(4)})
    client.post(f"{url}/versions/1/activate")
    # When it is READY, then it does not serve
    workbench.drain()
    assert client.get(f"{url}/versions/4").get_json()["status"] == "READY"
    assert client.get(url).get_json()["activeVersion"] == 1
    # When new code comes, then it does
    client.put(url, json={"language": "wat", "source": numbered(5)})
    workbench.drain()
    assert client.get(url).get_json()["activeVersion"] == 5


def test_an_older_version_that_is_ready_later_does_not_take_over(
    client: FlaskClient, url: str, workbench: Workbench
) -> None:
    for number in (4, 5):
        client.put(url, json={"language": "wat", "source": numbered(number)})
    older, newer = (workbench.claim(workbench.COMPILE) for _ in range(2))
    assert older is not None
    assert newer is not None
    workbench.work(newer)
    workbench.work(older)
    assert client.get(url).get_json()["activeVersion"] == 5


def test_only_what_was_built_can_be_activated_or_named(client: FlaskClient, url: str, workbench: Workbench) -> None:
    client.put(url, json={"language": "wat", "source": BROKEN})
    workbench.drain()
    assert_problem(client.post(f"{url}/versions/4/activate"), "version_not_ready")
    assert_problem(client.put(f"{url}/aliases/live", json={"version": 4}), "version_not_ready")
    assert_problem(client.post(f"{url}/versions/9/activate"), "not_found")
    assert_problem(client.put(f"{url}/aliases/live", json={"version": 9}), "unknown_reference")
    assert_problem(
        client.put(f"{url}/aliases/live", json={"version": 1, "next": {"version": 9, "weight": 1}}), "unknown_reference"
    )
    assert client.get(url).get_json()["activeVersion"] == 3


def test_activation_honours_if_match(client: FlaskClient, url: str) -> None:
    tag = client.get(url).headers["ETag"]
    assert client.post(f"{url}/versions/2/activate", headers={"If-Match": tag}).status_code == 200
    assert_problem(client.post(f"{url}/versions/1/activate", headers={"If-Match": tag}), "precondition_failed")


def test_an_alias_is_made_moved_read_and_removed(client: FlaskClient, url: str) -> None:
    made = client.put(f"{url}/aliases/live", json={"version": 1})
    assert (made.status_code, made.headers["Location"]) == (201, f"{url}/aliases/live")
    assert version_of(client, url, "live") == 1
    moved = client.put(f"{url}/aliases/live", json={"version": 2})
    assert moved.status_code == 200
    assert version_of(client, url, "live") == 2
    client.put(f"{url}/aliases/beta", json={"version": 3, "next": {"version": 1, "weight": 0.5}})
    listed = client.get(f"{url}/aliases").get_json()
    assert [(one["name"], one["version"], one["next"]) for one in listed["items"]] == [
        ("beta", 3, {"version": 1, "weight": 0.5}),
        ("live", 2, None),
    ]
    assert client.get(f"{url}/aliases/live").get_json() == listed["items"][1]
    assert client.delete(f"{url}/aliases/live").status_code == 204
    assert_problem(client.get(f"{url}/aliases/live"), "not_found")
    assert_problem(client.delete(f"{url}/aliases/live"), "not_found")
    assert_problem(client.post(f"{url}/execute", json={"version": "live"}), "unknown_reference")


@pytest.mark.parametrize("weight", [0.25, 25])
def test_a_second_version_gets_its_share(client: FlaskClient, url: str, rows: Rows, weight: float) -> None:
    client.put(f"{url}/aliases/live", json={"version": 1, "next": {"version": 2, "weight": weight}})
    for _ in range(2):
        client.post(f"{url}/execute-batch", json={"inputs": [1] * 1000, "version": "live"})
    shares = dict(rows("SELECT version, count(*) FROM executions GROUP BY version"))
    # Nine standard deviations around a quarter of 2,000.
    assert shares[1] + shares[2] == 2000
    assert 325 < shares[2] < 675


@pytest.mark.parametrize(("weight", "expected"), [(0, 1), (1, 2), (100, 2)])
def test_a_share_may_be_nothing_or_everything(client: FlaskClient, url: str, weight: float, expected: int) -> None:
    client.put(f"{url}/aliases/live", json={"version": 1, "next": {"version": 2, "weight": weight}})
    assert Counter(version_of(client, url, "live") for _ in range(20)) == {expected: 20}


def test_every_function_has_the_alias_active(client: FlaskClient, url: str) -> None:
    client.post(f"{url}/versions/2/activate")
    assert version_of(client, url, "active") == 2
    assert_problem(client.put(f"{url}/aliases/active", json={"version": 1}), "name_taken")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"version": 0},
        {"version": "1"},
        {"version": True},
        {"version": 1, "next": {"version": 2}},
        {"version": 1, "next": {"version": 2, "weight": -0.1}},
        {"version": 1, "next": {"version": 2, "weight": 100.1}},
        {"version": 1, "next": {"version": 2, "weight": 1, "more": 1}},
        {"version": 2**31},
    ],
)
def test_an_alias_that_makes_no_sense_is_refused(client: FlaskClient, url: str, body: dict[str, Any]) -> None:
    assert_problem(client.put(f"{url}/aliases/live", json=body), "validation_error")


@pytest.mark.parametrize("name", ["1", "1st", "Live", "-x", "a" * 64, "a_b"])
def test_a_name_that_no_alias_can_have_is_an_address_that_nothing_has(client: FlaskClient, url: str, name: str) -> None:
    assert_problem(client.put(f"{url}/aliases/{name}", json={"version": 1}), "not_found")
    assert_problem(client.post(f"{url}/execute", json={"version": name}), "validation_error")


def test_a_function_has_so_many_aliases_at_most(client: FlaskClient, url: str, rows: Rows) -> None:
    function_id = url.rpartition("/")[2]
    rows(
        "INSERT INTO aliases (function_id, name, version, updated_at) "
        "SELECT %s, 'a' || place, 1, now() FROM generate_series(1, %s) AS place",
        function_id,
        MOST_ALIASES,
    )
    assert_problem(client.put(f"{url}/aliases/one-more", json={"version": 1}), "limit_reached")
    assert client.put(f"{url}/aliases/a1", json={"version": 2}).status_code == 200


def test_sources_are_compared(client: FlaskClient, url: str) -> None:
    answer = client.get(f"{url}/versions/3/diff").get_json()
    assert (answer["from"]["number"], answer["to"]["number"]) == (2, 3)
    assert answer["from"]["sourceDigest"] != answer["to"]["sourceDigest"]
    assert answer["diff"].startswith("--- version 2\n+++ version 3\n@@ ")
    assert answer["diff"].endswith("-;; 2\n+;; 3\n")
    assert client.get(f"{url}/versions/1/diff?from=3").get_json()["diff"].endswith("-;; 3\n+;; 1\n")
    assert client.get(f"{url}/versions/1/diff").get_json()["diff"] == ""
    assert_problem(client.get(f"{url}/versions/1/diff?from=9"), "not_found")
    assert_problem(client.get(f"{url}/versions/9/diff"), "not_found")
    assert_problem(client.get(f"{url}/versions/1/diff?from=x"), "validation_error")


def test_a_prebuilt_module_has_no_source_to_compare(client: FlaskClient, workbench: Workbench) -> None:
    function = client.post("/functions", json={"name": "built", "language": "wasm", "wasm": "AGFzbQEAAAA="}).get_json()
    assert client.get(f"/functions/{function['id']}/versions/1/diff").get_json()["diff"] is None


def test_the_last_versions_are_kept_and_those_in_use(
    client: FlaskClient, workbench: Workbench, platform: Platform, rows: Rows
) -> None:
    # Given seven versions, of which two are named, one is active, one waits for a worker, and one failed
    url = f"/functions/{register(client, 'chosen', numbered(1))['id']}"
    for number in range(2, 8):
        workbench.drain()
        client.put(url, json={"language": "wat", "source": BROKEN if number == 5 else numbered(number)})
    workbench.drain()
    client.put(f"{url}/aliases/live", json={"version": 1, "next": {"version": 2, "weight": 0.1}})
    client.post(f"{url}/versions/3/activate")
    client.post(f"{url}/execute", json={"version": 4}, headers=ASYNC)
    # When the last one is to be kept
    with platform.database.statement() as connection:
        assert version_queries.retire(connection, kept=1) == 2
        # Then those in use are there, and others for nobody
        assert numbers(client, url) == [7, 4, 3, 2, 1]
        assert_problem(client.get(f"{url}/versions/6"), "not_found")
        assert_problem(client.post(f"{url}/versions/6/activate"), "not_found")
        assert_problem(client.put(f"{url}/aliases/beta", json={"version": 6}), "unknown_reference")
        assert_problem(client.post(f"{url}/execute", json={"version": 6}), "unknown_reference")
        # And what was accepted before is executed, also where its version was retired at that moment
        rows("UPDATE versions SET retired_at = now() WHERE number = 4")
        rows("UPDATE versions SET retired_at = now() - interval '2 hours' WHERE retired_at IS NOT NULL")
        assert version_queries.retire(connection, kept=1) == 0
        assert rows("SELECT number FROM versions ORDER BY number") == [(1,), (2,), (3,), (4,), (7,)]
        workbench.drain()
        assert client.get("/executions").get_json()["items"][0]["status"] == "COMPLETED"
        # And goes when nobody waits for it any more
        version_queries.retire(connection, kept=1)
        assert rows("SELECT number FROM versions ORDER BY number") == [(1,), (2,), (3,), (7,)]


def test_a_function_that_somebody_changes_is_left_alone(client: FlaskClient, url: str, platform: Platform) -> None:
    with platform.database.statement() as connection:
        with platform.database.transaction() as somebody:
            somebody.execute(text("SELECT FROM functions FOR UPDATE"))
            assert version_queries.retire(connection, kept=1) == 0
        assert version_queries.retire(connection, kept=1) == 2
    assert numbers(client, url) == [3]


def test_upkeep_goes_on_where_the_database_refuses_to_retire_versions(
    url: str, platform: Platform, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given versions to retire, and a database that refuses that at the commit
    rows(REFUSE)
    stop, chores = threading.Event(), upkeep.CHORES

    def retire(connection: Connection, _settings: Settings) -> None:
        version_queries.retire(connection, kept=1)

    retiring = replace(chores[-1], do=retire)
    last = upkeep.Chore("last", 60, lambda _connection, _settings: stop.set())
    monkeypatch.setattr(upkeep, "CHORES", (*chores[:-1], retiring, last))
    # When upkeep runs, then it comes to what is next
    with capture_logs() as lines:
        upkeep.run(platform, stop)
    assert [line["event"] for line in lines if line["log_level"] == "error"] == ["chore.failed"]
    # And nothing was retired, nor is a lock left
    assert rows("SELECT FROM versions WHERE retired_at IS NOT NULL") == []
    rows("DROP TRIGGER refuse ON versions")
    assert upkeep.do_chore(platform, retiring)
    assert rows("SELECT count(*) FROM versions WHERE retired_at IS NOT NULL") == [(2,)]


def test_a_trap_in_the_canary_leaves_the_others_alone(client: FlaskClient, workbench: Workbench) -> None:
    url = f"/functions/{registered_ready(client, workbench)['id']}"
    client.put(f"{url}/aliases/live", json={"version": 1})
    client.put(url, json={"language": "wat", "source": TRAP})
    workbench.drain()
    client.put(f"{url}/aliases/live", json={"version": 1, "next": {"version": 2, "weight": 50}})
    client.post(f"{url}/execute-batch", json={"inputs": [1] * 40, "version": "live"})
    workbench.drain()
    ended = client.get(f"{url}/executions?limit=200").get_json()["items"]
    assert {(one["version"], one["status"]) for one in ended} == {(1, "COMPLETED"), (2, "FAILED")}


def numbers(client: FlaskClient, url: str) -> list[int]:
    """The versions that there are."""
    return [one["number"] for one in client.get(f"{url}/versions").get_json()["items"]]
