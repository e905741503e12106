"""The console's pages as a browser without scripts uses them."""

import re
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.accounts import tokens
from app.rules import Role
from tests.accounts.world import World
from tests.conftest import PASSWORD, with_key

ADMIN = "admin@localhost"

XSS = '"><script>alert(1)</script><img src=x onerror=alert(1)>'


class Browser:
    """Follows links, fills in forms, and sends the token that a page has."""

    def __init__(self, app: Flask) -> None:
        self.client = app.test_client()

    def see(self, path: str) -> TestResponse:
        """Look at a page."""
        return self.client.get(path)

    def sign_in(self, email: str = ADMIN, password: str = PASSWORD, **more: str) -> TestResponse:
        """Fill in the sign-in."""
        return self.client.post("/console/sign-in", data={"email": email, "password": password, **more})

    def send(self, path: str, on: str, **fields: Any) -> TestResponse:
        """Send a form that stands on a page."""
        page = self.see(on)
        assert f'action="{path}"' in page.text, path
        (token, *_) = re.findall(r'name="csrfToken" value="(\w+)"', page.text)
        return self.client.post(path, data=fields | {"csrfToken": token})


@pytest.fixture
def browser(app: Flask) -> Browser:
    """One that has signed in as the first administrator."""
    one = Browser(app)
    assert one.sign_in().status_code == 303
    return one


@pytest.mark.parametrize("path", ["/", "/console/", "/console/people", "/docs", "/flower/tasks?sort=name"])
def test_whoever_is_not_signed_in_is_led_there_and_back(stranger: FlaskClient, path: str) -> None:
    first = stranger.get(path)
    assert first.status_code in {302, 303}
    if path == "/":
        return
    page = stranger.get(first.headers["Location"])
    assert 'type="password"' in page.text
    (wanted,) = re.findall(r'name="next" value="([^"]*)"', page.text)
    assert wanted == path
    body = {"email": ADMIN, "password": PASSWORD, "next": wanted}
    assert stranger.post("/console/sign-in", data=body).headers["Location"] == path


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://elsewhere.example.org/",
        "//elsewhere.example.org",
        "/\\elsewhere.example.org",
        "/\t/elsewhere.example.org",
        "/\0",
        "//[",
        "javascript:1",
    ],
)
def test_nobody_is_led_elsewhere(app: Flask, elsewhere: str) -> None:
    assert Browser(app).sign_in(next=elsewhere).headers["Location"] == "/console/"


def test_a_wrong_password_is_told_on_the_page(app: Flask) -> None:
    response = Browser(app).sign_in(password="wrong")
    assert response.status_code == 401
    assert "no enabled account with this e-mail address and password" in response.text
    assert "Set-Cookie" not in response.headers
    assert "wrong" not in re.findall(r'value="([^"]*)"', response.text)


@pytest.mark.parametrize("path", ["/console/sign-in", "/console/", "/console/account", "/console/people"])
def test_pages_have_no_scripts_and_load_nothing_from_elsewhere(browser: Browser, app: Flask, path: str) -> None:
    response = (Browser(app) if path.endswith("sign-in") else browser).see(path)
    assert response.status_code == 200
    policy = response.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in policy
    assert "script" not in policy
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Cache-Control"] == "no-store"
    assert "<script" not in response.text
    assert not re.findall(r'(?:src|href|action)="(?!/)', response.text)
    assert " style=" not in response.text


def test_a_key_is_shown_once(browser: Browser) -> None:
    made = browser.send("/console/account/keys", "/console/account", name="from a browser", scopes="functions:read")
    key = re.findall(tokens.PATTERN, made.text)[0]
    assert with_key(browser.client.application, key).get("/functions").status_code == 200
    assert with_key(browser.client.application, key).get("/executions").status_code == 403
    page = browser.see("/console/account")
    assert key not in page.text
    assert tokens.hint_of(key) in page.text
    path = re.findall(r'action="(/console/account/keys/[^"]*)"', page.text)[0]
    assert browser.send(path, "/console/account").status_code == 303
    assert with_key(browser.client.application, key).get("/functions").status_code == 401


def test_a_password_is_changed_with_the_current_one(browser: Browser, app: Flask) -> None:
    path, page = "/console/account/password", "/console/account"
    wrong = browser.send(path, page, password="correct horse battery", currentPassword="guess")
    assert wrong.status_code == 422
    assert "The current password is another one" in wrong.text
    weak = browser.send(path, page, password="password1", currentPassword=PASSWORD)
    assert "among those that are tried first" in weak.text
    done = browser.send(path, page, password="correct horse battery", currentPassword=PASSWORD)
    assert "The password is changed" in done.text
    assert Browser(app).sign_in().status_code == 401
    assert Browser(app).sign_in(password="correct horse battery").status_code == 303


def test_people_and_groups_are_kept(browser: Browser) -> None:
    page = "/console/people"
    browser.send(
        "/console/people", page, email="ada@example.org", name="Ada", role="DEV", password="engines of analysis"
    )
    browser.send("/console/groups", page, name="readers")
    text = browser.see(page).text
    assert "ada@example.org" in text
    (members,) = re.findall(r'action="(/console/groups/[^"]*/members)"', text)
    (user_id,) = re.findall(r'<option value="([0-9a-f-]{36})">Ada<', text)
    assert browser.send(members, page, userId=user_id).status_code == 303
    assert browser.send(f"{members}/{user_id}/remove", page).status_code == 303
    assert browser.send(f"/console/people/{user_id}", page, enabled="false").status_code == 303
    assert "developer, disabled" in browser.see(page).text
    refused = browser.send("/console/people", page, email="ada@example.org", name="Ada again", role="DEV")
    assert refused.status_code == 422
    assert "already a user with the e-mail address ada@example.org" in refused.text


def test_signing_out_ends_it(browser: Browser) -> None:
    assert browser.send("/console/sign-out", "/console/").headers["Location"] == "/console/sign-in"
    assert browser.see("/console/").status_code == 303


def test_developers_have_no_room_for_people(world: World) -> None:
    asker = world.by_session("developer", world.user(Role.DEV))
    assert "People" not in asker.ask("GET", "/console/").text
    assert asker.ask("GET", "/console/people").status_code == 403


def test_what_users_are_called_is_shown_as_it_is(browser: Browser) -> None:
    browser.send("/console/people", "/console/people", email="x@example.org", name=XSS, role="DEV")
    browser.send("/console/groups", "/console/people", name=XSS)
    browser.send("/console/account/keys", "/console/account", name=XSS)
    for path in ("/console/people", "/console/account"):
        text = browser.see(path).text
        assert "<script>" not in text
        assert "<img" not in text
        assert "&lt;script&gt;" in text
