"""API keys: recognisable, kept as a digest, shown once, and never stronger than their owner."""

import random
import string
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.accounts import credential_queries, tokens
from app.rules import Role, Scope
from tests.accounts.racing import meanwhile
from tests.accounts.world import World
from tests.api.answers import assert_problem
from tests.conftest import with_key

Rows = Callable[..., list[Any]]


def test_a_key_is_shown_once_and_kept_as_a_digest(client: FlaskClient, rows: Rows) -> None:
    response = client.post("/api-keys", json={"name": "deploys"})
    assert response.status_code == 201
    assert response.headers["Cache-Control"] == "no-store"
    made = response.get_json()
    assert tokens.PATTERN.fullmatch(made["key"])
    assert set(made["scopes"]) == set(Scope)
    lasts = datetime.fromisoformat(made["expiresAt"]) - datetime.now(UTC)
    assert timedelta(days=89) < lasts < timedelta(days=91)
    read = client.get(response.headers["Location"]).get_json()
    assert "key" not in read
    assert read["hint"] == f"{made['key'][:9]}…{made['key'][-4:]}"
    kept = rows("SELECT * FROM api_keys"), rows("SELECT * FROM tokens"), rows("SELECT * FROM audit_events")
    assert made["key"] not in str(kept)


def test_what_is_no_key_never_reaches_the_database(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credential_queries, "authenticate", lambda *_a, **_k: pytest.fail("the database was asked"))
    chance = random.Random(9)
    digits = string.ascii_letters + string.digits
    for _ in range(20_000):
        text = "kiln_" + "".join(chance.choices(digits, k=36))
        assert not tokens.is_key(text)
    application = client.application
    for wrong in (text, "kiln_", "", "x" * 5000, f"{tokens.new_key()}x", tokens.new_key().upper()):
        assert_problem(with_key(application, wrong).get("/me"), "unauthenticated")


def test_every_key_is_known_by_its_checksum() -> None:
    keys = [tokens.new_key() for _ in range(2000)]
    assert all(map(tokens.is_key, keys))
    assert len(set(keys)) == 2000


def test_a_scope_that_is_missing_is_named(world: World) -> None:
    asker = world.by_key("reader", world.user(), frozenset({Scope.FUNCTIONS_READ}))
    assert asker.ask("GET", "/functions").status_code == 200
    body = assert_problem(asker.ask("GET", "/executions"), "scope_missing")
    assert body["scope"] == "executions:read"


def test_a_key_makes_and_renews_none_that_may_do_more(world: World) -> None:
    user = world.user()
    strong, _ = world.key(user)
    weak = world.by_key("weak", user, frozenset({Scope.ACCOUNT_WRITE, Scope.ACCOUNT_READ}))
    wanted = {"name": "stronger", "scopes": ["functions:write"]}
    assert_problem(weak.ask("POST", "/api-keys", json=wanted), "scope_missing")
    assert_problem(weak.ask("POST", f"/api-keys/{strong}/rotate", json={}), "scope_missing")
    made = weak.ask("POST", "/api-keys", json={"name": "as weak"}).get_json()
    assert made["scopes"] == ["account:read", "account:write"]


def test_a_key_does_no_more_than_its_owner_may_by_now(world: World) -> None:
    user = world.user(Role.ADMIN)
    asker = world.by_key("formerly", user)
    assert asker.ask("GET", "/audit-events").status_code == 200
    world.sql("UPDATE users SET role = 'DEV' WHERE id = %s", user.id)
    assert_problem(asker.ask("GET", "/audit-events"), "forbidden")


def test_a_rotated_key_has_its_old_text_for_a_while(client: FlaskClient, rows: Rows) -> None:
    made = client.post("/api-keys", json={"name": "rotates"}).get_json()
    renewed = client.post(f"/api-keys/{made['id']}/rotate", json={"overlapSeconds": 60}).get_json()
    assert renewed["id"] == made["id"]
    assert renewed["rotatedAt"]
    application = client.application
    both = [with_key(application, made["key"]), with_key(application, renewed["key"])]
    assert [one.get("/me").status_code for one in both] == [200, 200]
    rows("UPDATE tokens SET replaced_until = now() WHERE replaced_until IS NOT NULL")
    assert [one.get("/me").status_code for one in both] == [401, 200]
    # And without an overlap it ends at once, however long the one before was to last
    again = client.post(f"/api-keys/{made['id']}/rotate", json={}).get_json()
    assert both[1].get("/me").status_code == 401
    assert with_key(application, again["key"]).get("/me").status_code == 200


def test_a_revoked_key_is_refused_by_every_process(
    world: World, another_process: Callable[..., Flask], client: FlaskClient
) -> None:
    made = client.post("/api-keys", json={"name": "gone"}).get_json()
    there = with_key(another_process(), made["key"])
    assert there.get("/me").status_code == 200
    assert client.delete(f"/api-keys/{made['id']}").status_code == 204
    assert there.get("/me").status_code == 401
    assert_problem(client.get(f"/api-keys/{made['id']}"), "not_found")


@pytest.mark.parametrize(
    ("days", "code"), [(-1, "expiry_refused"), (0, "expiry_refused"), (367, "expiry_refused"), (366, None), (1, None)]
)
def test_a_key_ends_in_time(world: World, rows: Rows, days: int, code: str | None) -> None:
    end = (datetime.now(UTC) + timedelta(days=days) - timedelta(seconds=5)).isoformat()
    browser = world.by_session("somebody", world.user())
    response = browser.ask("POST", "/api-keys", json={"name": "ends", "expiresAt": end})
    if code is not None:
        assert_problem(response, code)
        return
    key = response.get_json()["key"]
    assert with_key(world.app, key).get("/me").status_code == 200
    rows("UPDATE api_keys SET expires_at = now() - interval '1 second' WHERE name = 'ends'")
    assert_problem(with_key(world.app, key).get("/me"), "unauthenticated")


def test_a_key_ends_no_later_than_the_one_that_made_it(world: World) -> None:
    user = world.user()
    maker = world.by_key("maker", user)
    ((end,),) = world.sql(
        "UPDATE api_keys SET expires_at = now() + interval '1 day' WHERE user_id = %s RETURNING expires_at", user.id
    )
    made = maker.ask("POST", "/api-keys", json={"name": "made"}).get_json()
    assert datetime.fromisoformat(made["expiresAt"]) == end
    sent = {"name": "longer", "expiresAt": (end + timedelta(seconds=1)).isoformat()}
    assert_problem(maker.ask("POST", "/api-keys", json=sent), "expiry_refused")
    sooner = {"name": "sooner", "expiresAt": (end - timedelta(hours=1)).isoformat()}
    assert maker.ask("POST", "/api-keys", json=sooner).status_code == 201
    # A session is not bound by the keys that are there.
    assert world.by_session("browser", user).ask("POST", "/api-keys", json=sent).status_code == 201


def test_the_old_text_of_a_key_makes_and_renews_none(world: World) -> None:
    user, other = world.user(Role.ADMIN), world.user()
    old = world.by_key("old text", user)
    (key,) = old.ask("GET", "/api-keys").get_json()["items"]
    address = f"/api-keys/{key['id']}/rotate"
    renewed = old.ask("POST", address, json={"overlapSeconds": 60}).get_json()
    assert old.ask("GET", "/me").status_code == 200
    for method, path, body in (
        ("POST", "/api-keys", {"name": "kept"}),
        ("POST", address, {"overlapSeconds": 60}),
        ("POST", f"/api-keys/{world.key(user)[0]}/rotate", {}),
        ("PATCH", f"/users/{other.id}", {"role": "ADMIN"}),
    ):
        assert_problem(old.ask(method, path, json=body), "forbidden")
    assert old.ask("POST", "/console/account/keys", data={"name": "kept"}).status_code == 403
    new = with_key(world.app, renewed["key"])
    assert new.post(address, json={}).status_code == 200


def test_a_key_that_is_revoked_meanwhile_makes_none(world: World) -> None:
    user = world.user()
    asker = world.by_key("revoked", user)
    ask = [lambda: asker.ask("POST", "/api-keys", json={"name": "late"})]
    (answer,) = meanwhile(world, "DELETE FROM api_keys WHERE user_id = %s", user.id, ask=ask)
    assert_problem(answer, "unauthenticated")


def test_its_last_use_is_known_to_the_minute(client: FlaskClient, rows: Rows) -> None:
    key = client.post("/api-keys", json={"name": "used"}).get_json()
    assert client.get(f"/api-keys/{key['id']}").get_json()["lastUsedAt"] is None
    one = with_key(client.application, key["key"])
    one.get("/me")
    first = rows("SELECT last_used_at FROM api_keys WHERE name = 'used'")
    one.get("/me")
    assert rows("SELECT last_used_at FROM api_keys WHERE name = 'used'") == first
    rows("UPDATE api_keys SET last_used_at = now() - interval '61 seconds' WHERE name = 'used'")
    one.get("/me")
    assert rows("SELECT now() - last_used_at < interval '30 seconds' FROM api_keys WHERE name = 'used'") == [(True,)]


def test_a_narrow_key_of_an_administrator_makes_no_way_to_everything(world: World) -> None:
    root, other = world.user(Role.ADMIN), world.user()
    narrow = world.by_key("narrow", root, frozenset({Scope.PEOPLE_READ, Scope.PEOPLE_WRITE}))
    made = {"email": "new@example.org", "name": "New", "role": "DEV"}
    password = {"password": "glaze over slip over bisque"}
    assert narrow.ask("POST", "/users", json=made).status_code == 201
    for method, path, body in (
        ("POST", "/users", made | {"email": "other@example.org", "role": "ADMIN"}),
        ("POST", "/users", made | {"email": "other@example.org"} | password),
        ("PATCH", f"/users/{other.id}", {"role": "ADMIN"}),
        ("PATCH", f"/users/{root.id}", password),
        ("POST", "/identities", {"userId": str(root.id), "issuer": "https://id.example.org", "subject": "ada"}),
    ):
        assert_problem(narrow.ask(method, path, json=body), "scope_missing")
    for path, form in (("/console/people", made | password), (f"/console/people/{root.id}/password", password)):
        assert narrow.ask("POST", path, data=form).status_code == 403
    assert narrow.ask("PATCH", f"/users/{other.id}", json={"enabled": False}).status_code == 200
