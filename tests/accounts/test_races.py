"""What is changed or deleted while somebody else deletes it: one does it, the others are told that it is gone."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from app.accounts import people
from app.rules import Role
from tests.accounts.racing import meanwhile
from tests.accounts.world import Asker, World
from tests.api.answers import assert_problem
from tests.programs import ECHO

Make = Callable[[World], UUID]

DELETE = {
    "groups": "DELETE FROM groups WHERE id = %s",
    "users": "DELETE FROM users WHERE id = %s",
    "environments": "DELETE FROM environments WHERE id = %s",
}


def administrator(world: World) -> Asker:
    return world.by_key("administrator", world.user(Role.ADMIN))


@pytest.mark.parametrize(
    ("table", "address", "action", "make"),
    [
        ("groups", "/groups", "group.delete", lambda world: world.group()),
        ("users", "/users", "user.delete", lambda world: world.user().id),
        ("environments", "/environments", "environment.delete", lambda world: world.environment()),
        ("functions", "/functions", "function.delete", lambda world: world.function()),
    ],
)
def test_of_two_who_delete_the_same_one_does_it(
    world: World, table: str, address: str, action: str, make: Make
) -> None:
    one, other, thing = administrator(world), administrator(world), make(world)
    answers = meanwhile(
        world,
        f"SELECT FROM {table} WHERE id = %s FOR SHARE",
        thing,
        ask=[lambda: one.ask("DELETE", f"{address}/{thing}"), lambda: other.ask("DELETE", f"{address}/{thing}")],
    )
    assert sorted(answer.status_code for answer in answers) == [204, 404]
    wanted = "SELECT count(*) FROM audit_events WHERE action = %s AND resource_id = %s AND outcome = 'DONE'"
    assert world.sql(wanted, action, str(thing)) == [(1,)]


@pytest.mark.parametrize(
    ("table", "make", "method", "path", "body", "code"),
    [
        ("groups", lambda world: world.group(), "PATCH", "/groups/{}", {"name": "late"}, "not_found"),
        ("users", lambda world: world.user().id, "PATCH", "/users/{}", {"name": "late"}, "not_found"),
        ("environments", lambda world: world.environment(), "PUT", "/environments/{}", {"name": "late"}, "not_found"),
    ],
)
def test_what_was_deleted_meanwhile_is_not_changed(
    world: World, table: str, make: Make, method: str, path: str, body: Any, code: str
) -> None:
    root, thing = administrator(world), make(world)
    ask = [lambda: root.ask(method, path.format(thing), json=body)]
    (answer,) = meanwhile(world, DELETE[table], thing, ask=ask)
    assert_problem(answer, code)


@pytest.mark.parametrize(("gone", "code"), [("groups", "not_found"), ("users", "unknown_reference")])
def test_nobody_joins_what_is_gone_and_nobody_joins_who_is_gone(world: World, gone: str, code: str) -> None:
    root, group, user = administrator(world), world.group(), world.user()
    thing = group if gone == "groups" else user.id
    ask = [lambda: root.ask("POST", f"/groups/{group}/members", json={"userId": str(user.id)})]
    (answer,) = meanwhile(world, DELETE[gone], thing, ask=ask)
    assert_problem(answer, code)


@pytest.mark.parametrize("gone", ["groups", "users"])
def test_nobody_leaves_with_who_or_what_is_gone(world: World, gone: str) -> None:
    root, user = administrator(world), world.user()
    group = world.group(user)
    thing = group if gone == "groups" else user.id
    ask = [lambda: root.ask("DELETE", f"/groups/{group}/members/{user.id}")]
    (answer,) = meanwhile(world, DELETE[gone], thing, ask=ask)
    assert_problem(answer, "not_found")


@pytest.mark.parametrize(
    ("path", "body"),
    [("/api-keys", {"name": "late"}), ("/functions", {"name": "late", "language": "wat", "source": ECHO})],
)
def test_who_is_deleted_meanwhile_makes_nothing_more(world: World, path: str, body: Any) -> None:
    asker = world.by_session("somebody", user := world.user())
    ask = [lambda: asker.ask("POST", path, json=body)]
    (answer,) = meanwhile(world, "DELETE FROM users WHERE id = %s", user.id, ask=ask)
    assert_problem(answer, "unauthenticated")


def test_a_group_and_its_members_are_deleted_beside_each_other(world: World) -> None:
    """However their rows lie: sessions are locked in one order, and a user before what belongs to them."""
    members = [world.user() for _ in range(3)]
    groups = [world.group(*members) for _ in range(2)]
    for member in (*members, *reversed(members)):
        world.session(member)
    world.sql("UPDATE sessions SET last_seen_at = now() WHERE id = (SELECT min(id::text)::uuid FROM sessions)")
    actor, platform = world.root.actor, world.platform
    meanwhile(
        world,
        "SELECT FROM sessions FOR UPDATE",
        ask=[
            *(lambda group=group: people.delete_group(platform, actor, group) for group in groups),
            *(lambda member=member: people.delete_user(platform, actor, member.id) for member in members[:2]),
        ],
    )
    assert world.sql("SELECT user_id FROM sessions GROUP BY user_id") == [(members[2].id,)]
    assert world.sql("SELECT FROM memberships") == []
