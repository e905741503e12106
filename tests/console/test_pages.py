"""The console's pages as a browser without scripts uses them, and what htmx is answered."""

import re
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.accounts import tokens
from app.rules import Role
from tests.accounts.world import World
from tests.conftest import PASSWORD, with_key

ADMIN = "admin@localhost"

STATIC = Path(__file__).resolve().parents[2] / "app" / "console" / "static"

ROOMS = ["", "account", "people", "groups", "environments", "audit"]


class Browser:
    """Follows links, fills in forms, and sends the token that a page has."""

    def __init__(self, app: Flask) -> None:
        self.client = app.test_client()

    def see(self, path: str, part: str = "", **headers: str) -> TestResponse:
        """Look at a page, or have htmx ask for a part of it."""
        return self.client.get(path, headers=_asking(part) | headers)

    def sign_in(self, email: str = ADMIN, password: str = PASSWORD, **more: str) -> TestResponse:
        """Fill in the sign-in."""
        return self.client.post("/console/sign-in", data={"email": email, "password": password, **more})

    def send(self, path: str, on: str, part: str = "", **fields: Any) -> TestResponse:
        """Send a form that stands on a page; with a part, as htmx does."""
        page = self.see(on)
        assert f'action="{path}"' in page.text, path
        (token, *_) = re.findall(r'name="csrfToken" value="(\w+)"', page.text)
        return self.client.post(path, data=fields | {"csrfToken": token}, headers=_asking(part))


def _asking(part: str) -> dict[str, str]:
    return {"HX-Request": "true", "HX-Target": part} if part else {}


@pytest.fixture
def browser(app: Flask) -> Browser:
    """One that has signed in as the first administrator."""
    one = Browser(app)
    assert one.sign_in().status_code == 303
    return one


def environment_made(browser: Browser, name: str = "production") -> str:
    """The page of a new environment."""
    browser.send("/console/environments", "/console/environments", name=name, shared="me")
    page = browser.see("/console/environments").text
    return str(re.findall(rf'href="(/console/environments/[^"]*)"[^>]*>{name}<', page)[0])


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
        "/" + "x" * 2000,
    ],
)
def test_nobody_is_led_elsewhere(app: Flask, elsewhere: str) -> None:
    assert Browser(app).sign_in(next=elsewhere).headers["Location"] == "/console/"


def test_whoever_guesses_is_told_when_to_come_back(app: Flask) -> None:
    answers = [Browser(app).sign_in(password="guess") for _ in range(6)]
    assert [one.status_code for one in answers] == [401] * 5 + [429]
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 12


@pytest.mark.parametrize("email", [ADMIN, "nobody@example.org", "\0", "x" * 500])
def test_a_wrong_password_is_told_on_the_page(app: Flask, email: str) -> None:
    response = Browser(app).sign_in(email=email, password="wrong")
    assert response.status_code == 401
    assert "no enabled account with this e-mail address and password" in response.text
    assert "Set-Cookie" not in response.headers
    assert "wrong" not in re.findall(r'value="([^"]*)"', response.text)


def test_htmx_is_the_file_that_was_published() -> None:
    digest = sha256((STATIC / "htmx.min.js").read_bytes()).hexdigest()
    assert f"`{digest}`" in (STATIC / "htmx.md").read_text()


@pytest.mark.parametrize("room", ["sign-in", *ROOMS])
def test_pages_run_and_load_only_files_of_this_server(browser: Browser, app: Flask, room: str) -> None:
    response = (Browser(app) if room == "sign-in" else browser).see(f"/console/{room}")
    assert response.status_code == 200
    policy = dict(one.split(" ", 1) for one in response.headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert {policy[f"{kind}-src"] for kind in ("script", "style", "connect", "img")} == {"'self'"}
    assert policy["form-action"] == "'self'"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Cache-Control"] == "no-store"
    assert {"HX-Request", "HX-Target"} <= set(response.headers["Vary"].split(", "))
    assert re.findall(r"<script[^>]*>(?!</script>)", response.text) == []
    assert not re.findall(r'(?:src|href|action)="(?![/#])', response.text)
    assert not re.findall(r"\s(?:style|on\w+|hx-on[^=]*|hx-vals|hx-vars)=", response.text)


def test_what_is_refused_under_the_console_is_told_by_a_page(browser: Browser, app: Flask) -> None:
    for response in (
        browser.see("/console/nothing"),
        browser.see("/console/people?cursor=x"),
        browser.client.post("/console/groups", data={"name": "without a token"}),
        browser.client.put("/console/groups"),
        Browser(app).client.post("/console/groups"),
        browser.see("/console/people", Host="elsewhere.example.org"),
    ):
        assert response.status_code >= 400
        assert response.content_type == "text/html; charset=utf-8"
        assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]
        assert 'role="alert"' in response.text


def test_htmx_is_answered_the_part_that_it_asks_for(browser: Browser) -> None:
    part = browser.see("/console/account", "keys").text
    assert "<html" not in part
    assert part.lstrip().startswith('<section class="part" id="keys"')
    assert 'id="sessions"' not in part
    for unknown in ("../base", "nothing", "body"):
        assert "<html" in browser.see("/console/account", unknown).text
    refused = browser.send("/console/account/keys", "/console/account", "keys", name="x" * 201)
    assert refused.status_code == 422
    assert refused.text.lstrip().startswith('<section class="part" id="keys"')
    assert "between 1 and 200" in refused.text
    assert 'aria-invalid="true"' in refused.text


def test_what_is_refused_beside_a_form_is_told_in_the_page_that_is_open(browser: Browser, app: Flask) -> None:
    forged = browser.client.post("/console/account/keys", headers=_asking("keys"))
    assert forged.status_code == 403
    assert forged.headers["HX-Retarget"] == "#notice"
    assert "<html" not in forged.text


def test_a_page_whose_session_has_ended_is_left(app: Flask) -> None:
    stranger = Browser(app)
    asked = stranger.see("/console/people?find=ada", "users")
    assert asked.headers["Location"] == "/console/sign-in?next=/console/people?find%3Dada"
    assert stranger.see(asked.headers["Location"], "users").headers["HX-Redirect"].startswith("/console/sign-in?next=")
    headers = _asking("users") | {"HX-Current-URL": "http://localhost/console/people"}
    sent = stranger.client.post("/console/people", headers=headers)
    assert sent.headers["HX-Redirect"] == "/console/sign-in?next=/console/people"


def test_a_key_is_shown_once(browser: Browser) -> None:
    made = browser.send("/console/account/keys", "/console/account", name="from a browser", scopes="functions:read")
    key = re.findall(tokens.PATTERN, made.text)[0]
    assert with_key(browser.client.application, key).get("/functions").status_code == 200
    assert with_key(browser.client.application, key).get("/executions").status_code == 403
    page = browser.see("/console/account")
    assert key not in page.text
    assert tokens.hint_of(key) in page.text
    path = re.findall(r'action="(/console/account/keys/[^"]*/revoke)"', page.text)[0]
    assert browser.send(path, "/console/account").status_code == 303
    assert with_key(browser.client.application, key).get("/functions").status_code == 401


def test_a_key_gets_another_text_while_the_old_one_is_good(browser: Browser) -> None:
    page = "/console/account"
    old = re.findall(tokens.PATTERN, browser.send("/console/account/keys", page, name="old").text)[0]
    path = re.findall(r'action="(/console/account/keys/[^"]*/rotate)"', browser.see(page).text)[0]
    new = re.findall(tokens.PATTERN, browser.send(path, page, overlapSeconds="3600").text)[0]
    for key in (old, new):
        assert with_key(browser.client.application, key).get("/functions").status_code == 200
    browser.send(path, page, overlapSeconds="0")
    assert with_key(browser.client.application, new).get("/functions").status_code == 401
    for nonsense in ("-1", "86401", "a day", "9" * 400):
        assert browser.send(path, page, overlapSeconds=nonsense).status_code == 422


@pytest.mark.parametrize("day", ["2001-01-01", "2199-12-31", "soon"])
def test_when_a_key_cannot_end_is_told_at_the_form(browser: Browser, day: str) -> None:
    refused = browser.send("/console/account/keys", "/console/account", name="kept", expiresAt=day)
    assert refused.status_code == 422
    assert 'aria-describedby="make-key-expiresAt-said"' in refused.text
    assert f'value="{day}"' in refused.text
    assert 'value="kept"' in refused.text


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


def test_one_has_another_name_at_once(browser: Browser) -> None:
    browser.send("/console/account/name", "/console/account", name="Ada")
    assert "Hello, <bdi>Ada</bdi>" in browser.see("/console/").text
    assert browser.send("/console/account/name", "/console/account", name="x" * 201).status_code == 422
    # The name's form takes no password along.
    browser.send("/console/account/name", "/console/account", name="Ada", password="correct horse battery")
    assert Browser(browser.client.application).sign_in().status_code == 303


def test_all_other_sessions_are_ended(browser: Browser, app: Flask) -> None:
    others = [Browser(app), Browser(app)]
    for one in others:
        one.sign_in()
    browser.send("/console/account/sessions/end-others", "/console/account")
    assert [one.see("/console/").status_code for one in [browser, *others]] == [200, 303, 303]


def test_people_and_groups_are_kept(browser: Browser, app: Flask) -> None:
    page = "/console/people"
    ada = {"email": "ada@example.org", "name": "Ada", "role": "DEV"}
    browser.send("/console/people", page, **ada, password="engines of analysis")
    browser.send("/console/groups", "/console/groups", name="readers")
    (user,) = re.findall(r'href="(/console/people/[^"]*)"[^>]*>Ada<', browser.see(page).text)
    (group,) = re.findall(r'href="(/console/groups/[^"]*)"[^>]*>readers<', browser.see("/console/groups").text)
    user_id = user.rsplit("/", 1)[1]
    found = browser.see(f"{group}?find=ADA@", "members-found").text
    assert f'name="userId" value="{user_id}"' in found
    assert browser.send(f"{group}/members", f"{group}?find=ada", userId=user_id).status_code == 303
    assert "readers" in browser.see(user).text
    assert browser.send(f"{group}/members/{user_id}/remove", group).status_code == 303
    assert "readers" not in browser.see(user).text
    assert Browser(app).sign_in("ada@example.org", "engines of analysis").status_code == 303
    assert browser.send(user, user, name="Ada", role="DEV", enabled="false").status_code == 303
    assert "developer, disabled" in browser.see(page).text
    assert Browser(app).sign_in("ada@example.org", "engines of analysis").status_code == 401
    for wrong, message in (
        (ada, "already a user with the e-mail address ada@example.org"),
        (ada | {"email": "no address"}, "This is no e-mail address."),
        (ada | {"email": "x@example.org", "name": "x" * 201}, "Length must be between 1 and 200."),
        (ada | {"email": "x@example.org", "name": "\0"}, "U+0000"),
        (ada | {"email": "x@example.org", "password": "short"}, "8"),
        (ada | {"email": "x@example.org", "role": "KING"}, "Must be one of"),
    ):
        refused = browser.send("/console/people", page, **wrong)
        assert refused.status_code == 422
        assert message in refused.text


def test_somebody_is_given_another_password_and_deleted(browser: Browser, app: Flask, world: World) -> None:
    user = world.user()
    page, ada = f"/console/people/{user.id}", Browser(app)
    assert browser.send(f"{page}/password", page, password="short").status_code == 422
    assert browser.send(f"{page}/password", page, password="engines of analysis").status_code == 200
    assert ada.sign_in(user.email, "engines of analysis").status_code == 303
    assert browser.send(f"{page}/delete", page).headers["Location"] == "/console/people"
    assert ada.see("/console/").status_code == 303
    assert browser.see(page).status_code == 404


def test_the_last_administrator_is_kept_and_told_so_at_the_form(browser: Browser) -> None:
    (me,) = re.findall(r'href="(/console/people/[^"]*)"', browser.see("/console/people").text)
    for path, fields in ((f"{me}/delete", {}), (me, {"role": "DEV"}), (me, {"enabled": "false"})):
        refused = browser.send(path, me, **fields)
        assert refused.status_code == 422
        assert "at least one enabled administrator" in refused.text


def test_groups_are_renamed_and_deleted(browser: Browser, world: World) -> None:
    first, second = (f"/console/groups/{world.group(world.user())}" for _ in range(2))
    assert browser.send(first, first, name="readers", description="who read").status_code == 303
    taken = browser.send(second, second, name="readers")
    assert taken.status_code == 422
    assert "already a group named readers" in taken.text
    assert browser.send(f"{second}/delete", second).headers["Location"] == "/console/groups"
    assert browser.see(second).status_code == 404


def test_everybody_is_found_beyond_the_first_page(browser: Browser, world: World) -> None:
    made = [world.user() for _ in range(101)]
    seen, page = [], "/console/people"
    while page:
        text = browser.see(page).text
        seen += re.findall(r'href="/console/people/([0-9a-f-]{36})"', text)
        page = next(iter(re.findall(r'rel="next" href="([^"]*)"', text)), "")
    assert [UUID(one) for one in seen[:-1]] == [one.id for one in reversed(made)]
    assert "somebody7@" in browser.see("/console/people?find=EBODY7@", "users-found").text
    for odd in ("%25", "_", "%5C", "%00"):
        assert browser.see(f"/console/people?find=some{odd}").status_code == 200
    assert "Nobody is called like that" in browser.see("/console/people?find=some_ody").text


def test_an_environment_is_made_filled_shared_and_deleted(browser: Browser, world: World) -> None:
    page = environment_made(browser)
    for entry in (
        {"key": "REGION", "value": "eu\r\nwest"},
        {"key": "TOKEN", "value": "a-secret-of-ours", "secret": "true"},
        # What is a secret stays one.
        {"key": "TOKEN", "value": "another-secret"},
    ):
        assert browser.send(f"{page}/entries", page, **entry).status_code == 303
    text = browser.see(page).text
    assert "eu\nwest" in text
    assert "Revision 4" in text
    assert "secret-of-ours" not in text
    assert "another-secret" not in text
    refused = browser.send(f"{page}/entries", page, key="1 no key", value="kept-from-the-page", secret="true")
    assert refused.status_code == 422
    assert "A key has 1 to 128" in refused.text
    assert "kept-from-the-page" not in refused.text
    assert browser.send(f"{page}/entries/remove", page, key="REGION").status_code == 303
    assert "REGION" not in re.sub(r'(?s)id="history".*', "", browser.see(page).text)

    user = world.user()
    for fields, status in (({"addUser": user.id}, 303), ({"addGroup": world.group()}, 303), ({"addUser": "x"}, 422)):
        assert browser.send(f"{page}/sharing", f"{page}?find=s", **fields).status_code == status
    assert user.name in browser.see(page).text
    reader = world.by_session("reader", user)
    seen = reader.ask("GET", page).text
    assert "TOKEN" in seen
    assert "<form" not in seen.split("<main")[1]
    browser.send(f"{page}/sharing", page, removeUser=user.id)
    assert reader.ask("GET", page).status_code == 404
    assert browser.send(f"{page}/delete", page).headers["Location"] == "/console/environments"
    assert browser.see(page).status_code == 404


def test_the_rules_of_names_are_told_at_the_form(browser: Browser) -> None:
    page = environment_made(browser)
    for path, on in (("/console/environments", "/console/environments"), (page, page)):
        refused = browser.send(path, on, name="No Name")
        assert refused.status_code == 422
        assert "A name has 1 to 63 of a-z, 0-9 and -" in refused.text
        assert 'value="No Name"' in refused.text
    taken = browser.send("/console/environments", "/console/environments", name="production")
    assert "already an environment named production" in taken.text


def test_the_audit_is_read_by_who_what_and_how_it_ended(browser: Browser, world: World) -> None:
    environment_made(browser)
    world.by_session("developer", world.user()).ask("POST", "/console/groups", data={"name": "refused"})

    def acts(query: str) -> set[str]:
        return set(re.findall(r"<code>([\w.]+)</code>", browser.see(f"/console/audit?{query}").text))

    assert acts("action=environment.*") == {"environment.create"}
    assert acts("outcome=REFUSED") == {"group.create"}
    assert "environment.create" in acts(f"actor={ADMIN}")
    assert acts("actor=nobody@example.org") == set()
    refused = browser.see("/console/audit?outcome=MAYBE")
    assert refused.status_code == 422
    assert "Must be one of" in refused.text
    for _ in range(30):
        world.user()
    page = browser.see("/console/audit?action=user.create")
    assert 'rel="next"' not in page.text
    for _ in range(30):
        world.user()
    (older,) = re.findall(r'rel="next" href="([^"]*)"', browser.see("/console/audit?action=user.create").text)
    older = older.replace("&amp;", "&")
    assert "action=user.create" in older
    assert "Newest" in browser.see(older).text


def test_signing_out_ends_it(browser: Browser) -> None:
    assert browser.send("/console/sign-out", "/console/").headers["Location"] == "/console/sign-in"
    assert browser.see("/console/").status_code == 303


def test_developers_have_no_rooms_for_people_and_audit(world: World) -> None:
    asker = world.by_session("developer", world.user(Role.DEV))
    for room in ("people", "groups", "audit"):
        assert f"/console/{room}" not in asker.ask("GET", "/console/").text
        assert asker.ask("GET", f"/console/{room}").status_code == 403


def test_an_open_page_at_no_address_is_led_to_the_sign_in(stranger: FlaskClient) -> None:
    headers = {"HX-Request": "true", "HX-Current-URL": "http://["}
    response = stranger.post("/console/account/name", headers=headers)
    assert (response.status_code, response.headers["HX-Redirect"]) == (401, "/console/sign-in?next=")
