"""Users and groups as administrators keep them, and what of them is refused."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient

from app.accounts import first, people
from app.accounts.domain import LastAdministrator
from app.local.administrator import administrator_of
from app.platform import Platform
from app.rules import Role
from tests.accounts.world import World
from tests.api.answers import ABSENT, assert_problem

Rows = Callable[..., list[Any]]

ADA = {"email": "Ada@Example.org", "name": "Ada", "role": "DEV", "password": "engines of analysis"}


def test_users_are_made_read_changed_and_deleted(client: FlaskClient) -> None:
    response = client.post("/users", json=ADA)
    assert response.status_code == 201
    ada = response.get_json()
    assert (ada["email"], ada["name"], ada["role"], ada["enabled"]) == ("ada@example.org", "Ada", "DEV", True)
    assert "password" not in ada
    url = response.headers["Location"]
    assert client.get(url).get_json() == ada
    changed = client.patch(url, json={"name": "Ada L.", "role": "ADMIN", "enabled": False}).get_json()
    assert (changed["name"], changed["role"], changed["enabled"]) == ("Ada L.", "ADMIN", False)
    assert [one["name"] for one in client.get("/users").get_json()["items"]] == ["Ada L.", "Administrator"]
    assert client.delete(url).status_code == 204
    assert_problem(client.get(url), "not_found")
    assert_problem(client.delete(url), "not_found")


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"password": "short"}, "password_refused"),
        ({"password": "password1"}, "password_refused"),
        ({"password": "x" * 129}, "password_refused"),
        ({"password": "aaaaaaaaaaaa"}, "password_refused"),
        ({"password": "Example2026!"}, "password_refused"),
        ({"password": "kiln1234"}, "password_refused"),
        ({"email": "no address"}, "validation_error"),
        ({"email": "a@b@c"}, "validation_error"),
        ({"role": "ROOT"}, "validation_error"),
        ({"name": ""}, "validation_error"),
        ({"id": str(ABSENT)}, "validation_error"),
        ({"enabled": True}, "validation_error"),
        ({"email": "ADMIN@localhost"}, "email_taken"),
    ],
)
def test_a_user_that_breaks_a_rule_is_refused(client: FlaskClient, members: dict[str, Any], code: str) -> None:
    assert_problem(client.post("/users", json=ADA | members), code)
    assert len(client.get("/users").get_json()["items"]) == 1


def test_the_last_administrator_stays(client: FlaskClient) -> None:
    me = client.get("/me").get_json()
    for change in ({"role": "DEV"}, {"enabled": False}):
        assert_problem(client.patch(f"/users/{me['id']}", json=change), "last_administrator")
    assert_problem(client.delete(f"/users/{me['id']}"), "last_administrator")
    other = client.post("/users", json=ADA | {"role": "ADMIN"}).get_json()
    assert client.patch(f"/users/{other['id']}", json={"role": "DEV"}).status_code == 200


def test_two_administrators_cannot_remove_each_other(world: World) -> None:
    for _ in range(20):
        other = world.user(Role.ADMIN)
        administrators = [world.root.user_id, other.id]

        def demote(user_id: Any) -> bool:
            try:
                people.change_user(world.platform, world.root, user_id, {"role": Role.DEV})
            except LastAdministrator:
                return False
            return True

        with ThreadPoolExecutor(2) as threads:
            assert sorted(threads.map(demote, administrators)) == [False, True]
        world.sql("UPDATE users SET role = 'ADMIN' WHERE id = %s", world.root.user_id)
        world.sql("UPDATE users SET role = 'DEV' WHERE id = %s", other.id)


def test_groups_have_members(client: FlaskClient) -> None:
    group = client.post("/groups", json={"name": "compilers", "description": "those who read"}).get_json()
    ada = client.post("/users", json=ADA).get_json()
    url = f"/groups/{group['id']}/members"
    for _ in range(2):
        assert client.post(url, json={"userId": ada["id"]}).status_code == 201
    assert [one["email"] for one in client.get(url).get_json()["items"]] == ["ada@example.org"]
    assert client.get(f"/users/{ada['id']}").get_json()["groups"] == [group["id"]]
    assert_problem(client.post(url, json={"userId": str(ABSENT)}), "unknown_reference")
    assert client.delete(f"{url}/{ada['id']}").status_code == 204
    assert_problem(client.delete(f"{url}/{ada['id']}"), "not_found")
    assert client.patch(f"/groups/{group['id']}", json={"name": "readers"}).get_json()["name"] == "readers"
    assert_problem(client.post("/groups", json={"name": "readers"}), "name_taken")
    assert client.delete(f"/groups/{group['id']}").status_code == 204


def test_what_was_shared_with_somebody_who_is_gone_is_shared_with_nobody(world: World) -> None:
    reader, other = world.user(), world.user()
    group = world.group(reader)
    functions = [world.function(users=[reader.id]), world.function(groups=[group])]
    people.delete_user(world.platform, world.root.actor, reader.id)
    people.delete_group(world.platform, world.root.actor, group)
    asker = world.by_key("other", other)
    for function_id in functions:
        assert_problem(asker.ask("GET", f"/functions/{function_id}"), "not_found")
    assert asker.ask("GET", "/functions").get_json()["items"] == []


def test_leaving_a_group_ends_what_it_gave_a_thousand_times(world: World) -> None:
    user = world.user()
    group = world.group(user)
    function_id = world.function(groups=[group])
    asker = world.by_key("member", user)
    url = f"/functions/{function_id}"
    with psycopg.connect(world.platform.settings.database_url, autocommit=True) as connection:
        for _ in range(1000):
            assert asker.ask("GET", url).status_code == 200
            connection.execute("DELETE FROM memberships WHERE user_id = %s", [user.id])
            assert asker.ask("GET", url).status_code == 404
            connection.execute("INSERT INTO memberships VALUES (%s, %s, now())", [group, user.id])


def test_lists_have_what_their_reader_may_see_and_nothing_else(world: World) -> None:
    reader, other = world.user(), world.user()
    group = world.group(reader)
    seen = [world.function(), world.function(users=[reader.id, other.id]), world.function(groups=[group])]
    world.function(users=[other.id])
    world.function(groups=[world.group(other)])
    asker = world.by_key("reader", reader)
    listed: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = asker.ask("GET", f"/functions?limit=2{cursor and f'&cursor={cursor}'}").get_json()
        listed += [one["id"] for one in page["items"]]
        cursor = page["nextCursor"]
    assert listed == [str(one) for one in sorted(seen, reverse=True)]


def test_every_change_is_written_with_what_it_changed(client: FlaskClient, rows: Rows) -> None:
    ada = client.post("/users", json=ADA).get_json()
    client.patch(f"/users/{ada['id']}", json={"role": "ADMIN", "password": "difference engine"})
    page = client.get("/audit-events", query_string={"resource": ada["id"]}).get_json()
    update, create = page["items"]
    assert (create["action"], create["actor"], create["via"]) == ("user.create", "admin@localhost", "API_KEY")
    assert update["before"] == {"role": "DEV"}
    assert update["after"] == {"role": "ADMIN", "isPasswordNew": True}
    assert "difference engine" not in str(rows("SELECT * FROM audit_events")) + str(rows("SELECT * FROM users"))
    assert client.get("/audit-events?action=user.*&outcome=REFUSED").get_json()["items"] == []


@pytest.mark.parametrize(
    "statement", ["UPDATE audit_events SET actor = 'x'", "DELETE FROM audit_events", "TRUNCATE audit_events"]
)
def test_what_was_written_stays(rows: Rows, statement: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied for table audit_events"):
        rows(statement)
    # Also where the owner gives itself what was taken from it.
    rows("GRANT UPDATE, DELETE, TRUNCATE ON audit_events, audit_events_default TO CURRENT_USER")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="never changed or deleted"):
        rows(statement)
    assert rows("SELECT count(*) > 0 FROM audit_events") == [(True,)]


def test_the_first_administrator_is_made_once(platform: Platform, rows: Rows) -> None:
    assert first.ensure(platform) is None
    rows("DELETE FROM users")
    made = first.ensure(platform)
    assert made is not None
    assert made.password is not None
    kept = administrator_of(platform.settings.home, platform.settings.database_url)
    assert kept is not None
    assert (kept.email, kept.password, kept.key) == (made.email, made.password, made.key)
    assert (platform.settings.home / "administrator.json").stat().st_mode & 0o777 == 0o600
    assert administrator_of(platform.settings.home, "postgresql://elsewhere/kiln") is None
    assert made.key not in str(rows("SELECT * FROM api_keys"))


def test_what_lets_the_first_administrator_in_is_written_nowhere_else(
    platform: Platform, rows: Rows, tmp_path: Path
) -> None:
    elsewhere, home = tmp_path / "elsewhere", platform.settings.home
    elsewhere.write_text("theirs")
    (home / "administrator.draft").symlink_to(elsewhere)
    rows("DELETE FROM users")
    assert first.ensure(platform) is not None
    assert elsewhere.read_text() == "theirs"
    kept = home / "administrator.json"
    assert (kept.is_symlink(), kept.stat().st_mode & 0o777) == (False, 0o600)


def test_who_has_no_password_is_given_one_by_a_session_and_never_by_a_key(world: World) -> None:
    user, body = world.user(), {"password": "glaze over slip over bisque"}
    by_key, by_session = world.by_key("key", user), world.by_session("session", user)
    assert_problem(by_key.ask("PATCH", "/me", json=body), "forbidden")
    assert "Set a password" in by_session.ask("GET", "/console/account").text
    assert by_session.ask("PATCH", "/me", json=body).status_code == 200
    # From then on it is asked for.
    assert "Change the password" in by_session.ask("GET", "/console/account").text
    assert_problem(by_session.ask("PATCH", "/me", json={"password": "bisque under glaze"}), "wrong_password")


@pytest.mark.parametrize("kind", ["functions", "environments"])
def test_who_is_known_is_known_as_what_they_are(world: World, kind: str) -> None:
    root, user, group = world.by_key("root", world.user(Role.ADMIN)), world.user(), world.group()
    make = world.function if kind == "functions" else world.environment
    address = f"/{kind}/{make(users=[user.id], groups=[group])}"
    for member, wrong in (("allowedUsers", group), ("allowedGroups", user.id)):
        refused = root.ask("PUT", address, json={member: [str(wrong)]})
        assert assert_problem(refused, "unknown_reference")["errors"][0]["pointer"] == f"/{member}/0"
    # Those who are gone stay in the list that they are in.
    world.sql("DELETE FROM users WHERE id = %s", user.id)
    world.sql("DELETE FROM groups WHERE id = %s", group)
    same = {"allowedUsers": [str(user.id)], "allowedGroups": [str(group)]}
    assert root.ask("PUT", address, json=same).status_code == 200
