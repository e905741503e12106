"""Requests that are sent again."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.operations import upkeep
from app.platform import Platform
from app.settings import Settings
from tests.accounts.world import World
from tests.api.answers import assert_problem, register, registered_ready
from tests.conftest import with_key
from tests.workbench import Workbench

Rows = Callable[..., list[Any]]

NAMED = {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}
ASYNC = {"Prefer": "respond-async"}


@pytest.fixture
def url(client: FlaskClient, workbench: Workbench) -> str:
    """A function's address."""
    return f"/functions/{registered_ready(client, workbench)['id']}"


def test_the_same_request_has_one_execution(client: FlaskClient, url: str, workbench: Workbench, rows: Rows) -> None:
    workbench.start()
    first, again = (client.post(f"{url}/execute", json={"input": 1}, headers=NAMED) for _ in range(2))
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.get_json() == again.get_json()
    assert rows("SELECT count(*) FROM executions") == [(1,)]
    # Without a key, or with another one, it is another request.
    client.post(f"{url}/execute", json={"input": 1})
    client.post(f"{url}/execute", json={"input": 1}, headers={"Idempotency-Key": "another"})
    assert rows("SELECT count(*) FROM executions") == [(3,)]


def test_while_it_is_executed_who_waits_is_told_so_and_who_does_not_is_answered_the_same(
    client: FlaskClient, url: str, workbench: Workbench
) -> None:
    first = client.post(f"{url}/execute", json={}, headers=NAMED | ASYNC)
    again = client.post(f"{url}/execute", json={}, headers=NAMED | ASYNC)
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.get_json() == again.get_json()
    assert first.headers["Location"] == again.headers["Location"]
    problem = assert_problem(client.post(f"{url}/execute", json={}, headers=NAMED), "idempotency_in_progress")
    assert problem["execution"] == first.get_json()["id"]
    workbench.drain()
    ended = client.post(f"{url}/execute", json={}, headers=NAMED | ASYNC)
    assert (ended.status_code, ended.get_json()["status"]) == (202, "COMPLETED")
    assert client.post(f"{url}/execute", json={}, headers=NAMED).status_code == 200


def test_where_too_many_wait_already_it_is_answered_the_same(client: FlaskClient, app: Flask, url: str) -> None:
    client.post(f"{url}/execute", json={}, headers=NAMED | ASYNC)
    app.extensions["kiln.waiters"].let_go()
    assert_problem(client.post(f"{url}/execute", json={}, headers=NAMED), "idempotency_in_progress")


def test_another_request_by_the_same_name_is_refused(client: FlaskClient, url: str, workbench: Workbench) -> None:
    other = registered_ready(client, workbench, name="other")["id"]
    client.post(f"{url}/execute", json={"input": 1}, headers=NAMED | ASYNC)
    for path, body in (
        (f"{url}/execute", {"input": 2}),
        (f"/functions/{other}/execute", {"input": 1}),
        (f"{url}/execute-batch", {"inputs": [1]}),
    ):
        assert_problem(client.post(path, json=body, headers=NAMED | ASYNC), "idempotency_mismatch")


def test_a_batch_is_accepted_once(client: FlaskClient, url: str, rows: Rows) -> None:
    first, again = (client.post(f"{url}/execute-batch", json={"inputs": [1, 2, 3]}, headers=NAMED) for _ in range(2))
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.get_json() == again.get_json()
    assert rows("SELECT count(*) FROM executions") == [(3,)]
    # In the order of the inputs
    inputs = [rows("SELECT input::text FROM executions WHERE id = %s", one) for one in again.get_json()["executionIds"]]
    assert inputs == [[("1",)], [("2",)], [("3",)]]


def test_a_replay_is_done_once(client: FlaskClient, url: str, rows: Rows) -> None:
    original = client.post(f"{url}/execute", json={}, headers=ASYNC).get_json()["id"]
    answers = [client.post(f"/executions/{original}/replay", json={}, headers=NAMED | ASYNC) for _ in range(2)]
    assert answers[0].get_json() == answers[1].get_json()
    assert rows("SELECT count(*) FROM executions") == [(2,)]


def test_a_name_is_its_users_own(client: FlaskClient, app: Flask, url: str, world: World, rows: Rows) -> None:
    client.post(f"{url}/execute", json={"input": 1}, headers=NAMED | ASYNC)
    other = world.by_key("other", world.user())
    response = other.ask("POST", f"{url}/execute", json={"input": 2}, headers=NAMED | ASYNC)
    assert response.status_code == 202
    assert rows("SELECT count(*) FROM executions") == [(2,)]


def test_what_was_refused_takes_no_name(client: FlaskClient, workbench: Workbench, rows: Rows) -> None:
    url = f"/functions/{register(client)['id']}"
    assert_problem(client.post(f"{url}/execute", json={}, headers=NAMED), "function_not_ready")
    assert_problem(client.post(f"{url}/execute", json={"version": 9}, headers=NAMED), "unknown_reference")
    assert rows("SELECT FROM idempotency_keys") == []
    workbench.drain()
    assert client.post(f"{url}/execute", json={}, headers=NAMED | ASYNC).status_code == 202


def test_a_name_is_good_for_a_day(client: FlaskClient, url: str, platform: Platform, rows: Rows) -> None:
    first = client.post(f"{url}/execute", json={}, headers=NAMED | ASYNC).get_json()["id"]
    rows("UPDATE idempotency_keys SET created_at = now() - interval '23 hours 59 minutes'")
    assert client.post(f"{url}/execute", json={}, headers=NAMED | ASYNC).get_json()["id"] == first
    rows("UPDATE idempotency_keys SET created_at = now() - interval '24 hours 1 minute'")
    second = client.post(f"{url}/execute", json={"input": 2}, headers=NAMED | ASYNC)
    assert second.status_code == 202
    assert second.get_json()["id"] != first
    rows("UPDATE idempotency_keys SET created_at = now() - interval '24 hours 1 minute'")
    (chore,) = (one for one in upkeep.CHORES if one.name == "keys")
    assert upkeep.do_chore(platform, chore)
    assert rows("SELECT FROM idempotency_keys") == []


@pytest.mark.parametrize("key", ["", "x" * 256, "with\ttab", "h\u00e9"])
def test_names_that_none_can_have_are_refused(client: FlaskClient, url: str, key: str) -> None:
    response = client.post(f"{url}/execute", json={}, headers=[("Idempotency-Key", key)])
    assert_problem(response, "bad_request")


def test_of_many_that_come_together_one_is_accepted(
    app: Flask, client: FlaskClient, url: str, template: tuple[str, str], settings: Settings, rows: Rows
) -> None:
    people, rounds = 8, 25
    ready = threading.Barrier(people)

    def ask(_number: int) -> list[str]:
        mine, answered = with_key(app, template[1]), []
        for number in range(rounds):
            ready.wait(timeout=30)
            headers = {"Idempotency-Key": f"round {number}"} | ASYNC
            answered.append(mine.post(f"{url}/execute", json={"input": number}, headers=headers).get_json()["id"])
        return answered

    with ThreadPoolExecutor(people) as pool:
        answers = list(pool.map(ask, range(people)))
    assert all(answer == answers[0] for answer in answers)
    assert len(set(answers[0])) == rounds
    assert rows("SELECT count(*) FROM executions") == [(rounds,)]
