"""Sessions: begun with a password, told by a cookie, ended by everything that ends them, at once and everywhere."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.accounts import credentials, passwords, people
from app.accounts.domain import WrongPassword
from app.rules import Role
from tests.accounts.world import World
from tests.api.answers import assert_problem
from tests.conftest import PASSWORD

ADMIN = "admin@localhost"
Rows = Callable[..., list[Any]]


def sign_in(client: FlaskClient, email: str = ADMIN, password: str = PASSWORD, **kwargs: Any) -> TestResponse:
    return client.post("/sessions", json={"email": email, "password": password}, **kwargs)


def cookie_of(response: TestResponse) -> str:
    (header,) = response.headers.getlist("Set-Cookie")
    return header


def test_signing_in_gives_a_cookie_that_only_the_browser_can_read(stranger: FlaskClient, rows: Rows) -> None:
    response = sign_in(stranger)
    assert response.status_code == 201
    header = cookie_of(response)
    token = header.split("=", 1)[1].split(";")[0]
    assert header.startswith("kiln_session=")
    assert "HttpOnly" in header
    assert "SameSite=Lax" in header
    # And of its name only a digest is kept.
    assert token not in str(rows("SELECT * FROM sessions")) + str(rows("SELECT encode(digest, 'escape') FROM tokens"))
    me = stranger.get("/me").get_json()
    assert (me["email"], me["role"]) == (ADMIN, "ADMIN")
    assert me["csrfToken"] == response.get_json()["csrfToken"]


def test_over_https_the_cookie_stays_there(another_process: Callable[..., Flask]) -> None:
    app = another_process(public_url="https://kiln.example.org")
    header = cookie_of(sign_in(app.test_client()))
    assert header.startswith("__Host-kiln_session=")
    assert "Secure" in header
    assert "Path=/" in header
    assert "Domain" not in header


@pytest.mark.parametrize(
    ("email", "password"), [(ADMIN, "wrong"), ("nobody@example.org", PASSWORD), (ADMIN, ""), (f"{ADMIN} ", PASSWORD)]
)
def test_what_is_wrong_is_not_said(stranger: FlaskClient, email: str, password: str) -> None:
    response = sign_in(stranger, email, password)
    body = assert_problem(response, "sign_in_failed")
    assert body["detail"] == "There is no enabled account with this e-mail address and password."
    assert "Set-Cookie" not in response.headers


def test_an_address_is_the_same_in_every_case(stranger: FlaskClient) -> None:
    assert sign_in(stranger, "Admin@LocalHost").status_code == 201


def test_unknown_users_cost_the_same_work(stranger: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    verified: list[str] = []

    def counted(_password: str, kept: str) -> bool:
        verified.append(kept[:20])
        return False

    monkeypatch.setattr(passwords, "_verify", counted)
    sign_in(stranger, ADMIN, "wrong")
    sign_in(stranger, "nobody@example.org", "wrong")
    assert len(verified) == 2
    assert verified[0] == verified[1]


def test_a_planted_cookie_is_not_taken_over(stranger: FlaskClient) -> None:
    stranger.set_cookie("kiln_session", "planted")
    token = cookie_of(sign_in(stranger)).split("=", 1)[1].split(";")[0]
    assert token != "planted"
    stranger.set_cookie("kiln_session", "planted")
    assert_problem(stranger.get("/me"), "unauthenticated")


def test_signing_out_ends_the_session_for_good(stranger: FlaskClient) -> None:
    begun = sign_in(stranger)
    token = cookie_of(begun).split("=", 1)[1].split(";")[0]
    headers = {"X-CSRF-Token": begun.get_json()["csrfToken"]}
    response = stranger.delete("/sessions/current", headers=headers)
    assert response.status_code == 204
    assert "kiln_session=;" in cookie_of(response)
    stranger.set_cookie("kiln_session", token)
    assert_problem(stranger.get("/me"), "unauthenticated")


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE sessions SET last_seen_at = now() - interval '31 minutes'",
        "UPDATE sessions SET expires_at = now() - interval '1 second'",
    ],
)
def test_a_session_ends_by_itself(stranger: FlaskClient, rows: Rows, change: str) -> None:
    sign_in(stranger)
    assert stranger.get("/me").status_code == 200
    rows(change)
    assert_problem(stranger.get("/me"), "unauthenticated")


def test_being_seen_keeps_a_session(stranger: FlaskClient, rows: Rows) -> None:
    sign_in(stranger)
    rows("UPDATE sessions SET last_seen_at = now() - interval '29 minutes'")
    assert stranger.get("/me").status_code == 200
    assert rows("SELECT now() - last_seen_at < interval '1 minute' FROM sessions") == [(True,)]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-CSRF-Token": "0" * 64},
        {"X-CSRF-Token": ""},
        {"X-HTTP-Method-Override": "GET"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "https://elsewhere.example.org"},
    ],
)
def test_a_page_that_does_not_know_the_token_changes_nothing(
    stranger: FlaskClient, headers: dict[str, str], rows: Rows
) -> None:
    sign_in(stranger)
    body = '{"name": "evil"}'
    for content_type in ("application/json", "text/plain"):
        response = stranger.patch("/me", data=body, content_type=content_type, headers=headers)
        assert_problem(response, "csrf_failed")
    assert rows("SELECT name FROM users") == [("Administrator",)]


def test_another_sessions_token_is_not_this_ones(app: Flask, stranger: FlaskClient) -> None:
    sign_in(stranger)
    other = sign_in(app.test_client()).get_json()["csrfToken"]
    assert_problem(stranger.patch("/me", json={"name": "x"}, headers={"X-CSRF-Token": other}), "csrf_failed")


def test_a_key_in_a_cookie_is_no_key(world: World) -> None:
    client = world.app.test_client()
    client.set_cookie("kiln_session", world.key(world.user())[1])
    assert_problem(client.get("/me"), "unauthenticated")
    session = world.session(world.user())[1]
    assert_problem(client.get("/me", headers={"Authorization": f"Bearer {session}"}), "unauthenticated")


@pytest.mark.parametrize(
    "ends",
    [
        lambda world, user: people.change_user(
            world.platform, world.root, user.id, {"password": "correct horse battery"}
        ),
        lambda world, user: people.change_user(world.platform, world.root, user.id, {"enabled": False}),
        lambda world, user: people.delete_user(world.platform, world.root.actor, user.id),
    ],
    ids=["password", "disabled", "deleted"],
)
def test_what_ends_sessions_ends_them_in_every_process(
    world: World, another_process: Callable[..., Flask], ends: Callable[[World, Any], object]
) -> None:
    # Given somebody whom two processes let in
    user = world.user()
    here = world.by_session("here", user)
    there = another_process().test_client()
    there.set_cookie("kiln_session", world.session(user)[1])
    assert [here.ask("GET", "/me").status_code, there.get("/me").status_code] == [200, 200]
    # When their rights end, then the next request is refused by both
    ends(world, user)
    assert_problem(here.ask("GET", "/me"), "unauthenticated")
    assert_problem(there.get("/me"), "unauthenticated")


def test_with_other_rights_a_session_gets_another_name(world: World) -> None:
    user = world.user()
    asker = world.by_session("somebody", user)
    before = asker.client.get_cookie("kiln_session")
    people.change_user(world.platform, world.root, user.id, {"role": Role.ADMIN})
    # When they ask next
    assert asker.ask("GET", "/audit-events").status_code == 200
    after = asker.client.get_cookie("kiln_session")
    assert before is not None
    assert after is not None
    assert before.value != after.value
    # Then the old name is good for what was on its way, and no longer
    assert asker.ask("GET", "/me").status_code == 200
    late = world.app.test_client()
    late.set_cookie("kiln_session", before.value)
    assert late.get("/me").status_code == 200
    world.sql("UPDATE tokens SET replaced_until = now() - interval '1 second' WHERE replaced_until IS NOT NULL")
    assert_problem(late.get("/me"), "unauthenticated")
    assert asker.ask("GET", "/me").status_code == 200


def test_a_new_password_ends_the_other_sessions_and_not_this_one(stranger: FlaskClient, app: Flask) -> None:
    other = app.test_client()
    sign_in(other)
    headers = {"X-CSRF-Token": sign_in(stranger).get_json()["csrfToken"]}
    body = {"password": "correct horse battery", "currentPassword": "guessed"}
    assert_problem(stranger.patch("/me", json=body, headers=headers), "wrong_password")
    assert other.get("/me").status_code == 200
    response = stranger.patch("/me", json=body | {"currentPassword": PASSWORD}, headers=headers)
    assert response.status_code == 200
    assert_problem(other.get("/me"), "unauthenticated")
    assert stranger.get("/me").status_code == 200
    assert_problem(sign_in(app.test_client()), "sign_in_failed")
    assert sign_in(app.test_client(), ADMIN, "correct horse battery").status_code == 201


def test_sessions_are_listed_and_ended_by_their_owner(app: Flask, stranger: FlaskClient) -> None:
    other = app.test_client()
    sign_in(other, headers={"User-Agent": "another browser"})
    headers = {"X-CSRF-Token": sign_in(stranger).get_json()["csrfToken"]}
    items = stranger.get("/sessions").get_json()["items"]
    assert [(item["isCurrent"], item["userAgent"]) for item in items][1:] == [(False, "another browser")]
    assert items[0]["isCurrent"]
    assert stranger.delete(f"/sessions/{items[1]['id']}", headers=headers).status_code == 204
    assert_problem(other.get("/me"), "unauthenticated")


def test_a_user_has_so_many_sessions_and_no_more(world: World) -> None:
    user = world.user()
    tokens = [world.session(user)[1] for _ in range(22)]
    assert world.sql("SELECT count(*) FROM sessions WHERE user_id = %s", user.id) == [(20,)]
    client = world.app.test_client()
    client.set_cookie("kiln_session", tokens[-1])
    assert client.get("/me").status_code == 200


def test_guessing_is_slowed_and_nobody_is_locked_out(app: Flask, rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    # Hashing takes so long that turns would come back meanwhile.
    monkeypatch.setattr(passwords, "_verify", lambda password, _kept: password == PASSWORD)
    # Given somebody who signs in from here, and somebody else who guesses from elsewhere
    client, guesser = app.test_client(), {"REMOTE_ADDR": "192.0.2.1"}
    sign_in(client)
    answers = [sign_in(app.test_client(), password=f"guess {n}", environ_base=guesser) for n in range(8)]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429] * 3
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 12
    # When many guess from many places
    for n in range(40):
        sign_in(app.test_client(), password="guess", environ_base={"REMOTE_ADDR": f"198.51.100.{n}"})
    # Then whoever signed in from here before still does
    assert sign_in(app.test_client()).status_code == 201
    assert_problem(sign_in(app.test_client(), environ_base={"REMOTE_ADDR": "203.0.113.9"}), "too_many_attempts")
    # And it passes
    rows("UPDATE throttles SET due_at = due_at - interval '10 minutes'")
    assert sign_in(app.test_client(), environ_base={"REMOTE_ADDR": "203.0.113.9"}).status_code == 201


def test_a_hash_that_is_not_good_enough_any_more_is_made_anew(stranger: FlaskClient, rows: Rows) -> None:
    weak = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(PASSWORD)
    rows("UPDATE users SET password = %s", weak)
    assert sign_in(stranger).status_code == 201
    ((kept,),) = rows("SELECT password FROM users")
    assert kept != weak
    assert "m=47104,t=2,p=1" in kept


def test_ended_sessions_are_forgotten(world: World) -> None:
    user = world.user()
    world.session(user)
    world.sql("UPDATE sessions SET expires_at = now() - interval '1 second'")
    with world.platform.database.statement() as connection:
        credentials.forget_ended(connection)
    assert world.sql("SELECT count(*) FROM sessions") == [(0,)]


def test_a_password_that_was_replaced_while_it_was_looked_at_lets_nobody_in(
    app: Flask, stranger: FlaskClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform, verify = app.extensions["kiln"], passwords.Hashing.verify
    user = people.create_user(
        platform, world.root, email="late@example.org", name="Late", role=Role.DEV, password=PASSWORD
    ).user
    principal = world.principal(user)

    def too_late(self: passwords.Hashing, password: str, kept: str | None, waiter: passwords.Waiter) -> bool:
        is_right = verify(self, password, kept, waiter)
        monkeypatch.setattr(passwords.Hashing, "verify", verify)
        people.change_user(platform, world.root, user.id, {"password": f"glaze over {uuid4()}"})
        return is_right

    monkeypatch.setattr(passwords.Hashing, "verify", too_late)
    sent = {"email": "late@example.org", "password": PASSWORD}
    assert_problem(stranger.post("/sessions", json=sent), "sign_in_failed")
    people.change_user(platform, world.root, user.id, {"password": PASSWORD})
    monkeypatch.setattr(passwords.Hashing, "verify", too_late)
    with pytest.raises(WrongPassword):
        people.change_own(platform, principal, {"password": "slip over bisque"}, current_password=PASSWORD)
