"""Who somebody is elsewhere: linked by whoever proves it, given by administrators, unlinked but for the last way in."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.rules import Role
from tests.accounts.world import World
from tests.api.answers import assert_problem
from tests.oidc.browsing import Browser
from tests.oidc.issuer import Issuer

Rows = Callable[..., list[Any]]


@pytest.fixture
def admin(browser: Browser) -> Browser:
    """One that has signed in with a password."""
    browser.sign_in()
    return browser


def identities(rows: Rows) -> list[Any]:
    """Whose are whose."""
    return rows("SELECT email, subject FROM identities JOIN users ON users.id = user_id ORDER BY identities.id")


def last_refusal(rows: Rows) -> Any:
    """What was refused last."""
    return rows("SELECT action, after ->> 'reason' FROM audit_events WHERE outcome = 'REFUSED' ORDER BY id DESC")[0]


def test_an_identity_is_linked_by_the_session_that_asks(admin: Browser, app: Flask, issuer: Issuer, rows: Rows) -> None:
    session = admin.cookie("kiln_session")
    response = admin.return_with(issuer.authorize(admin.leave_to_link()))
    assert (response.status_code, response.headers["Location"]) == (303, "/console/account")
    assert admin.cookie("kiln_session") == session
    assert identities(rows) == [("admin@localhost", "ada")]
    text = admin.get("/console/account").text
    assert "<bdi>Acme</bdi>" in text
    assert "<bdi>ada</bdi>" in text
    # And it lets them in from then on, whatever their address is there.
    again = Browser(app)
    again.sign_in_at(issuer)
    assert again.me()["email"] == "admin@localhost"
    # Once more changes nothing.
    admin.return_with(issuer.authorize(admin.leave_to_link()))
    assert rows("SELECT count(*) FROM audit_events WHERE action = 'identity.create'") == [(1,)]


def test_the_page_on_the_way_leads_there_without_a_form(admin: Browser, issuer: Issuer) -> None:
    response = admin.post("/console/account/identities/acme/link")
    url = response.headers["Refresh"].removeprefix("0; url=")
    assert url.startswith(f"{issuer.url}/authorize?")
    assert f'href="{url.replace("&", "&amp;")}"' in response.text
    assert "form-action 'self'" in response.headers["Content-Security-Policy"]


def test_a_link_needs_the_token_of_the_page(admin: Browser) -> None:
    admin.csrf = ""
    assert admin.post("/console/account/identities/acme/link").status_code == 403


def test_a_link_is_not_taken_in_by_another_session(admin: Browser, app: Flask, issuer: Issuer, rows: Rows) -> None:
    """Whoever plants the beginning of a link of theirs in a browser does not get its user's identity, nor theirs in."""
    answer = issuer.authorize(admin.leave_to_link())
    kept = admin.cookie("kiln_sign_in")
    assert kept is not None
    victim = Browser(app)
    victim.sign_in()
    victim.client.set_cookie("kiln_sign_in", kept, domain="127.0.0.1")
    assert victim.return_with(answer).status_code == 401
    assert identities(rows) == []
    assert last_refusal(rows) == ("identity.create", "BegunElsewhere")
    # Nor by a browser without any, and not later by the right one: it was used.
    assert admin.return_with(answer).status_code == 401


def test_a_link_is_not_taken_in_once_the_session_has_ended(admin: Browser, issuer: Issuer, rows: Rows) -> None:
    answer = issuer.authorize(admin.leave_to_link())
    assert admin.post("/console/sign-out").status_code == 303
    assert admin.return_with(answer).status_code == 401
    assert identities(rows) == []


def test_a_sign_in_does_not_link(admin: Browser, issuer: Issuer, rows: Rows) -> None:
    """Not even with the e-mail address of the account whose session comes along."""
    issuer.claims = {"email": "admin@localhost"}
    assert admin.sign_in_at(issuer).status_code == 401
    assert identities(rows) == []


def test_an_identity_is_one_users(admin: Browser, app: Flask, issuer: Issuer, rows: Rows) -> None:
    Browser(app).sign_in_at(issuer)
    response = admin.return_with(issuer.authorize(admin.leave_to_link()))
    assert response.status_code == 401
    assert "This identity is another user" in response.text
    assert identities(rows) == [("ada@example.org", "ada")]
    assert last_refusal(rows) == ("identity.create", "IdentityTaken")


def test_an_identity_is_unlinked(admin: Browser, app: Flask, issuer: Issuer, rows: Rows) -> None:
    admin.return_with(issuer.authorize(admin.leave_to_link()))
    other = Browser(app)
    other.sign_in_at(issuer)
    (path,) = re.findall(
        r'action="(/console/account/identities/[0-9a-f-]{36}/unlink)"', admin.get("/console/account").text
    )
    assert admin.post(path).status_code == 303
    assert identities(rows) == []
    # The session that did it goes on; one that the identity had let in does not.
    assert admin.get("/me").status_code == 200
    assert other.get("/me").status_code == 401
    assert Browser(app).sign_in_at(issuer).status_code == 303  # as somebody new


def test_the_last_way_in_stays(browser: Browser, issuer: Issuer, other: Issuer, rows: Rows) -> None:
    browser.sign_in_at(issuer)
    me = browser.me()
    browser.csrf = me["csrfToken"]
    headers = {"X-CSRF-Token": browser.csrf}
    (one,) = browser.get("/identities").get_json()["items"]
    path = f"/identities/{one['id']}"
    refused = browser.client.delete(path, headers=headers, base_url="http://127.0.0.1:8000")
    assert_problem(refused, "last_way_in")
    # An identity of a provider that is not in the settings any more is none.
    rows(
        "INSERT INTO identities (id, user_id, issuer, subject, created_at) "
        "VALUES (gen_random_uuid(), %s, 'https://gone.example.org', 'ada', now())",
        me["id"],
    )
    refused = browser.client.delete(path, headers=headers, base_url="http://127.0.0.1:8000")
    assert_problem(refused, "last_way_in")
    rows("DELETE FROM identities WHERE issuer = 'https://gone.example.org'")
    # Given another way in
    browser.return_with(other.authorize(browser.leave_to_link("other")), "other")
    assert browser.client.delete(path, headers=headers, base_url="http://127.0.0.1:8000").status_code == 204
    assert identities(rows) == [("ada@example.org", "ada")]


def test_groups_that_an_identity_brought_go_with_it(
    browser: Browser, world: World, client: FlaskClient, issuer: Issuer, rows: Rows
) -> None:
    client.post("/groups", json={"name": "readers"})
    issuer.claims["groups"] = ["readers-there"]
    browser.sign_in_at(issuer)
    assert len(browser.me()["groups"]) == 1
    (one,) = client.get(f"/identities?userId={browser.me()['id']}").get_json()["items"]
    # When an administrator takes it
    assert client.delete(f"/identities/{one['id']}").status_code == 204
    # Then they are out at once.
    assert browser.get("/me").status_code == 401
    assert rows("SELECT count(*) FROM memberships") == [(0,)]
    assert rows("SELECT count(*) FROM audit_events WHERE action = 'group.remove_member'") == [(1,)]


def test_administrators_say_who_a_user_is_elsewhere(
    client: FlaskClient, world: World, app: Flask, issuer: Issuer, other: Issuer
) -> None:
    user = world.user()
    body = {"userId": str(user.id), "issuer": other.url, "subject": "ada"}
    made = client.post("/identities", json=body)
    assert made.status_code == 201
    assert made.get_json() == made.get_json() | body | {"lastUsedAt": None}
    browser = Browser(app)
    assert browser.sign_in_at(other, "other").status_code == 303
    assert browser.me()["id"] == str(user.id)
    assert_problem(client.post("/identities", json=body), "identity_taken")
    assert_problem(client.post("/identities", json=body | {"issuer": f"{other.url}/"}), "unknown_reference")
    assert_problem(client.post("/identities", json=body | {"userId": made.get_json()["id"]}), "unknown_reference")
    assert_problem(client.post("/identities", json=body | {"subject": "é"}), "validation_error")


def test_others_identities_are_not_there(world: World, browser: Browser, issuer: Issuer) -> None:
    browser.sign_in_at(issuer)
    (one,) = browser.get("/identities").get_json()["items"]
    stranger = world.by_key("stranger", world.user(Role.DEV))
    assert stranger.ask("GET", "/identities").get_json()["items"] == []
    assert_problem(stranger.ask("GET", f"/identities?userId={one['userId']}"), "forbidden")
    assert_problem(stranger.ask("DELETE", f"/identities/{one['id']}"), "not_found")


def test_who_is_deleted_is_gone_elsewhere_as_well(
    browser: Browser, client: FlaskClient, app: Flask, issuer: Issuer, rows: Rows
) -> None:
    browser.sign_in_at(issuer)
    assert client.delete(f"/users/{browser.me()['id']}").status_code == 204
    assert identities(rows) == []
    assert Browser(app).sign_in_at(issuer).status_code == 303


def test_a_session_that_is_renamed_on_the_way_back_keeps_its_name(admin: Browser, issuer: Issuer, rows: Rows) -> None:
    """The answer sets another cookie, too: that of the session must not be left out for it."""
    answer = issuer.authorize(admin.leave_to_link())
    rows("UPDATE sessions SET is_to_rotate = true")
    before = admin.cookie("kiln_session")
    admin.return_with(answer)
    assert admin.cookie("kiln_session") != before
    rows("UPDATE tokens SET replaced_until = now() WHERE replaced_until IS NOT NULL")
    assert admin.get("/me").status_code == 200
