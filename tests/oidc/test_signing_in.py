"""Signing in with a provider that does as it should."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from app.operations.upkeep import CHORES, do_chore
from app.platform import Platform
from tests.oidc.browsing import BASE, Browser
from tests.oidc.issuer import Answered, Issuer, key

Rows = Callable[..., list[Any]]


def test_whoever_is_new_gets_an_account_and_a_session(browser: Browser, issuer: Issuer, rows: Rows) -> None:
    response = browser.sign_in_at(issuer, next="/console/account")
    assert (response.status_code, response.headers["Location"]) == (303, "/console/account")
    me = browser.me()
    assert (me["email"], me["name"], me["role"]) == ("ada@example.org", "Ada", "DEV")
    assert rows("SELECT issuer, subject, last_used_at IS NOT NULL FROM identities") == [(issuer.url, "ada", True)]
    assert rows("SELECT password FROM users WHERE email = 'ada@example.org'") == [(None,)]
    acts = rows("SELECT action, actor, via, outcome FROM audit_events WHERE via <> 'SYSTEM' OR actor <> '' ORDER BY id")
    assert acts == [
        ("user.create", "acme", "SYSTEM", "DONE"),
        ("identity.create", "acme", "SYSTEM", "DONE"),
        ("session.create", "ada@example.org", "SESSION", "DONE"),
    ]


def test_whoever_is_known_comes_back_to_the_same_account(browser: Browser, app: Flask, issuer: Issuer) -> None:
    browser.sign_in_at(issuer)
    # Given that the provider calls them otherwise by now
    issuer.claims = {"email": "countess@example.org", "name": "Countess"}
    again = Browser(app)
    again.sign_in_at(issuer)
    # Then they are who they were: an identity is issuer and subject.
    assert again.me()["id"] == browser.me()["id"]
    assert again.me()["email"] == "ada@example.org"


def test_the_session_is_like_one_by_password(browser: Browser, issuer: Issuer, rows: Rows) -> None:
    browser.client.set_cookie("kiln_session", "planted", domain="127.0.0.1")
    header = next(one for one in browser.sign_in_at(issuer).headers.getlist("Set-Cookie") if "session" in one)
    assert re.match(r"kiln_session=[\w-]{43}; Expires=[^;]+; Max-Age=43200; HttpOnly; Path=/; SameSite=Lax", header)
    assert rows("SELECT expires_at - created_at = interval '12 hours' FROM sessions") == [(True,)]


def test_a_session_that_is_there_is_not_taken_over(browser: Browser, issuer: Issuer, rows: Rows) -> None:
    browser.sign_in()
    before = browser.cookie("kiln_session")
    browser.sign_in_at(issuer)
    assert browser.cookie("kiln_session") != before
    assert browser.me()["email"] == "ada@example.org"
    assert rows("SELECT count(*) FROM identities JOIN users ON users.id = user_id WHERE role = 'ADMIN'") == [(0,)]


def test_what_the_browser_keeps_is_kept_nowhere_else_and_used_once(
    browser: Browser, issuer: Issuer, rows: Rows
) -> None:
    response = browser.get("/oidc/acme/sign-in")
    (header,) = response.headers.getlist("Set-Cookie")
    assert re.match(r"kiln_sign_in=[\w-]{43}; Expires=[^;]+; Max-Age=600; HttpOnly; Path=/; SameSite=Lax", header)
    assert response.headers["Cache-Control"] == "no-store"
    kept = browser.cookie("kiln_sign_in")
    assert kept is not None
    assert (
        kept not in str(rows("SELECT encode(digest, 'escape'), * FROM begun_sign_ins")) + response.headers["Location"]
    )
    browser.return_with(issuer.authorize(response.headers["Location"]))
    assert browser.cookie("kiln_sign_in") is None
    assert rows("SELECT * FROM begun_sign_ins") == []


def test_nothing_is_used_in_two_sign_ins(browser: Browser, issuer: Issuer) -> None:
    first, second = (re.findall(r"(?:state|nonce|code_challenge)=([\w-]{43})", browser.leave()) for _ in range(2))
    assert len({*first, *second}) == 6


def test_over_https_the_cookie_is_this_hosts_alone(another_process: Callable[..., Flask], issuer: Issuer) -> None:
    browser = Browser(another_process(public_url="https://kiln.example.org", hosts={"*"}))
    response = browser.get("/oidc/acme/sign-in")
    assert response.headers["Set-Cookie"].startswith("__Host-kiln_sign_in=")
    assert "Secure" in response.headers["Set-Cookie"]
    assert "redirect_uri=https%3A%2F%2Fkiln.example.org%2Foidc%2Facme%2Fcallback&" in response.headers["Location"]


def test_another_name_of_loopback_is_led_to_the_one_that_the_provider_knows(browser: Browser) -> None:
    response = browser.client.get("/oidc/acme/sign-in?next=/console/", base_url="http://localhost:8000")
    assert response.headers["Location"] == f"{BASE}/oidc/acme/sign-in?next=/console/"


@pytest.mark.parametrize("elsewhere", ["https://elsewhere.example.org/", "//elsewhere.example.org", "/\\elsewhere"])
def test_nobody_is_led_elsewhere(browser: Browser, issuer: Issuer, elsewhere: str) -> None:
    assert browser.sign_in_at(issuer, next=elsewhere).headers["Location"] == "/console/"


def test_where_to_go_is_not_kept_where_it_is_too_long(browser: Browser, rows: Rows) -> None:
    browser.leave(next="/" + "x" * 1999)
    browser.leave(next="/" + "x" * 2000)
    kept = rows("SELECT length(next_address) FROM begun_sign_ins ORDER BY expires_at")
    assert kept == [(2000,), (len("/console/"),)]


@pytest.mark.parametrize(("algorithm", "kind"), [("PS256", "RSA"), ("ES256", "EC"), ("EdDSA", "OKP")])
def test_every_algorithm_of_the_list_is_believed(browser: Browser, issuer: Issuer, algorithm: str, kind: str) -> None:
    issuer.signing, issuer.header = key("of that kind", kind), {"alg": algorithm}
    issuer.keys = [key("one"), issuer.signing]
    assert browser.sign_in_at(issuer).status_code == 303


def test_an_audience_beside_us_needs_the_party_that_asked(app: Flask, issuer: Issuer) -> None:
    issuer.claims = {"aud": ["kiln", "accounting"], "azp": "kiln"}
    assert Browser(app).sign_in_at(issuer).status_code == 303


def test_keys_that_were_changed_are_read_again_and_not_too_often(
    app: Flask, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = [1000.0]
    monkeypatch.setattr("app.oidc.asking.time.monotonic", lambda: moment[0])
    assert Browser(app).sign_in_at(issuer).status_code == 303
    issuer.signing = key("two")
    issuer.keys = [key("two")]
    # Given that the keys were read a moment ago
    assert Browser(app).sign_in_at(issuer).status_code == 401
    assert issuer.asked.count("/keys") == 1
    # When a while has gone by
    moment[0] += 10
    assert Browser(app).sign_in_at(issuer).status_code == 303
    assert issuer.asked.count("/keys") == 2
    # Then what was withdrawn is not believed any more.
    issuer.signing = key("one")
    moment[0] += 10
    assert Browser(app).sign_in_at(issuer).status_code == 401
    assert issuer.asked.count("/.well-known/openid-configuration") == 1


def test_a_provider_that_is_away_is_told_and_left_alone(
    app: Flask, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = [1000.0]
    monkeypatch.setattr("app.oidc.asking.time.monotonic", lambda: moment[0])
    issuer.answers["/.well-known/openid-configuration"] = Answered({}, 503)
    for _ in range(2):
        response = Browser(app).get("/oidc/acme/sign-in")
        assert response.status_code == 503
        assert "The provider does not answer" in response.text
    assert len(issuer.asked) == 1
    issuer.answers.clear()
    moment[0] += 10
    assert Browser(app).sign_in_at(issuer).status_code == 303


def test_who_begins_too_often_is_slowed(app: Flask) -> None:
    statuses = [Browser(app).get("/oidc/acme/sign-in").status_code for _ in range(22)]
    assert statuses[:20] == [302] * 20
    assert statuses[-1] == 429


def test_what_was_begun_and_not_ended_is_cleaned_up(browser: Browser, platform: Platform, rows: Rows) -> None:
    browser.leave()
    chore = next(one for one in CHORES if one.name == "credentials")
    do_chore(platform, chore)
    assert len(rows("SELECT * FROM begun_sign_ins")) == 1
    rows("UPDATE begun_sign_ins SET expires_at = now() - interval '1 second'")
    do_chore(platform, chore)
    assert rows("SELECT * FROM begun_sign_ins") == []


def test_the_page_has_a_button_for_each(browser: Browser) -> None:
    text = browser.get("/console/sign-in", next="/console/account").text
    assert 'href="/oidc/acme/sign-in?next=/console/account">Sign in with Acme<' in text
    assert ">Sign in with other<" in text
    assert browser.get("/oidc/providers").get_json()["items"] == [
        {"name": "acme", "label": "Acme"},
        {"name": "other", "label": "other"},
    ]


@pytest.mark.parametrize("path", ["/oidc/nobody/sign-in", "/oidc/nobody/callback"])
def test_a_provider_that_is_none_is_not_there(browser: Browser, path: str) -> None:
    response = browser.get(path)
    assert response.status_code == 404
    assert response.mimetype == "text/html"


def test_claims_that_a_provider_keeps_for_its_userinfo_are_fetched(browser: Browser, issuer: Issuer) -> None:
    issuer.claims = {"email": None, "email_verified": None, "name": None}
    issuer.userinfo = {"email": "ada@example.org", "email_verified": True, "name": "Ada L."}
    browser.sign_in_at(issuer)
    assert (browser.me()["email"], browser.me()["name"]) == ("ada@example.org", "Ada L.")


def test_a_secret_is_posted_where_a_provider_wants_it_so(browser: Browser, issuer: Issuer) -> None:
    issuer.metadata = {"token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"]}
    assert browser.sign_in_at(issuer).status_code == 303


def test_a_provider_that_takes_no_secret_gets_none(browser: Browser, issuer: Issuer) -> None:
    issuer.metadata = {"token_endpoint_auth_methods_supported": ["private_key_jwt"]}
    assert browser.sign_in_at(issuer).status_code == 401
    assert "/token" not in issuer.asked
