"""How often something may be tried, by whom, and what counts as one of them."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import islice
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.accounts import passwords, people
from app.accounts.attempts import bucket
from app.operations.upkeep import CHORES, do_chore
from tests.accounts.world import World
from tests.api.answers import assert_problem
from tests.conftest import PASSWORD

ADMIN = "admin@localhost"
Rows = Callable[..., list[Any]]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashing takes so long that turns would come back meanwhile."""
    monkeypatch.setattr(passwords, "_verify", lambda password, _kept: password == PASSWORD)


def sign_in(client: FlaskClient, address: str = "192.0.2.1", password: str = PASSWORD) -> TestResponse:
    sent = {"email": ADMIN, "password": password}
    return client.post("/sessions", json=sent, environ_base={"REMOTE_ADDR": address})


@pytest.mark.parametrize(
    ("address", "counts_as"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("no address", "no address"),
        (None, ""),
    ],
)
def test_a_network_counts_as_one_address(address: str | None, counts_as: str) -> None:
    assert bucket(address) == counts_as


@pytest.mark.usefixtures("quick")
def test_whoever_has_a_network_guesses_no_more_often(app: Flask, rows: Rows) -> None:
    for n in range(6):
        answer = sign_in(app.test_client(), f"2001:db8:1:2::{n:x}", "guess")
    assert answer.status_code == 429
    # And what strangers are refused is counted alike.
    app.test_client().delete("/sessions/current", environ_base={"REMOTE_ADDR": "2001:db8:1:2::77"})
    assert rows("SELECT name FROM throttles WHERE name LIKE '%%2001:%%' AND name NOT LIKE '%%2001:db8:1:2::/64'") == []
    assert len(rows("SELECT name FROM throttles WHERE name LIKE '%%2001:db8:1:2::/64'")) == 3


def guess_from_everywhere(app: Flask) -> None:
    """Until whoever is not known waits."""
    for n in range(40):
        answer = sign_in(app.test_client(), f"198.51.100.{n}", "guess")
    assert answer.status_code == 429


@pytest.mark.usefixtures("quick")
def test_whoever_has_signed_in_from_here_is_known_for_longer_than_their_session(
    app: Flask, world: World, rows: Rows
) -> None:
    # Given somebody whose session has ended
    sign_in(app.test_client(), "2001:db8::1")
    sign_in(app.test_client(), "2001:db8::2")
    assert rows("SELECT bucket FROM known_addresses") == [("2001:db8::/64",)]
    rows("UPDATE sessions SET last_seen_at = now() - interval '1 day'")
    chore = next(one for one in CHORES if one.name == "credentials")
    do_chore(world.platform, chore)
    assert rows("SELECT id FROM sessions") == []
    # When many guess, then they are let in all the same
    guess_from_everywhere(app)
    assert sign_in(app.test_client(), "2001:db8::3").status_code == 201
    # And after weeks they are not known any more
    rows("UPDATE known_addresses SET last_used_at = now() - interval '31 days'")
    do_chore(world.platform, chore)
    assert rows("SELECT bucket FROM known_addresses") == []


def test_a_new_password_has_the_other_addresses_forgotten(app: Flask, stranger: FlaskClient, rows: Rows) -> None:
    sign_in(stranger, "192.0.2.1")
    csrf = sign_in(stranger, "192.0.2.2").get_json()["csrfToken"]
    body = {"currentPassword": PASSWORD, "password": "glaze over slip over bisque"}
    sent = {"json": body, "headers": {"X-CSRF-Token": csrf}, "environ_base": {"REMOTE_ADDR": "192.0.2.2"}}
    assert stranger.patch("/me", **sent).status_code == 200
    assert rows("SELECT bucket FROM known_addresses") == [("192.0.2.2",)]


def test_a_password_that_an_administrator_gives_has_all_addresses_forgotten(
    stranger: FlaskClient, world: World, rows: Rows
) -> None:
    sign_in(stranger, "192.0.2.1")
    ((user_id,),) = rows("SELECT user_id FROM known_addresses")
    other = world.user()
    people.change_user(world.platform, world.root, user_id, {"name": "Still the same"})
    assert len(rows("SELECT bucket FROM known_addresses")) == 1
    people.change_user(world.platform, world.principal(other), user_id, {"password": "glaze over slip over bisque"})
    assert rows("SELECT bucket FROM known_addresses") == []


def test_whoever_guesses_with_a_session_or_a_key_is_slowed_too(
    app: Flask, stranger: FlaskClient, world: World, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at: list[str] = []

    def verify(password: str, _kept: str) -> bool:
        looked_at.append(password)
        return password == PASSWORD

    monkeypatch.setattr(passwords, "_verify", verify)
    stranger.environ_base["HTTP_X_CSRF_TOKEN"] = csrf = sign_in(stranger).get_json()["csrfToken"]
    looked_at.clear()
    body = {"password": "glaze over slip over bisque", "currentPassword": "guess"}
    answers = [stranger.patch("/me", json=body) for _ in range(4)]
    form = body | {"csrfToken": csrf}
    pages = [stranger.post("/console/account/password", data=form) for _ in range(3)]
    # Then each guess takes a turn, before anything is hashed, however it comes
    assert [one.status_code for one in (*answers, *pages)] == [422] * 5 + [429] * 2
    assert len(looked_at) == 5
    refused = stranger.patch("/me", json=body | {"currentPassword": PASSWORD})
    assert_problem(refused, "too_many_attempts")
    assert 0 < int(refused.headers["Retry-After"]) <= 12
    # And nobody else waits for that, nor do they themselves with what takes no password
    assert sign_in(app.test_client()).status_code == 201
    assert stranger.patch("/me", json={"name": "Still the same"}).status_code == 200
    # And it passes
    rows("UPDATE throttles SET due_at = due_at - interval '10 minutes'")
    assert stranger.patch("/me", json=body | {"currentPassword": PASSWORD}).status_code == 200


class Slow:
    """Hashing that ends when it is told to."""

    def __init__(self) -> None:
        self.end = threading.Event()

    def verify(self, password: str, _kept: str) -> bool:
        """Whether it is the password, in the end."""
        assert self.end.wait(60)
        return password == PASSWORD


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Slow]:
    """Hashing that takes as long as a test needs, in a process of its own."""
    one = Slow()
    monkeypatch.setattr(passwords, "_verify", one.verify)
    passwords.hashing.cache_clear()
    yield one
    one.end.set()
    passwords.hashing.cache_clear()


def test_strangers_from_everywhere_leave_places_to_those_who_are_known(app: Flask, slow: Slow) -> None:
    slow.end.set()
    assert sign_in(app.test_client(), "192.0.2.1").status_code == 201
    slow.end.clear()
    with ThreadPoolExecutor(20) as clients:
        # When strangers hold every place that they are given, of whom one address has no more than two
        crowd = [clients.submit(sign_in, app.test_client(), f"198.51.100.{n // 3}", "guess") for n in range(18)]
        refused = [one.result() for one in islice(as_completed(crowd, timeout=60), 6)]
        assert [one.status_code for one in refused] == [429] * 6
        assert all(one.headers["Retry-After"] for one in refused)
        assert_problem(sign_in(app.test_client(), "203.0.113.9"), "too_many_attempts")
        # Then whoever has signed in from where they are has a place all the same
        known = clients.submit(sign_in, app.test_client(), "192.0.2.1")
        slow.end.set()
        assert known.result().status_code == 201
        assert {one.result().status_code for one in crowd} == {401, 429}
    # And places are given back.
    assert sign_in(app.test_client(), "203.0.113.9").status_code == 201


def test_one_user_has_two_places_and_no_more(stranger: FlaskClient, app: Flask, slow: Slow) -> None:
    slow.end.set()
    stranger.environ_base["HTTP_X_CSRF_TOKEN"] = sign_in(stranger).get_json()["csrfToken"]
    cookie = stranger.get_cookie("kiln_session")
    assert cookie is not None
    slow.end.clear()
    body = {"password": "glaze over slip over bisque", "currentPassword": "guess"}

    def change() -> TestResponse:
        client = app.test_client()
        client.environ_base |= stranger.environ_base
        client.set_cookie("kiln_session", cookie.value)
        return client.patch("/me", json=body)

    with ThreadPoolExecutor(4) as clients:
        asked = [clients.submit(change) for _ in range(4)]
        refused = [one.result() for one in islice(as_completed(asked, timeout=60), 2)]
        assert [one.status_code for one in refused] == [429] * 2
        slow.end.set()
        assert sorted(one.result().status_code for one in asked) == [422, 422, 429, 429]
