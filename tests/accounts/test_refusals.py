"""Who was refused what is written, under their name, and so that nobody fills the database with it. What was asked for
and changed nothing is not.
"""

from typing import Any

import pytest

from app.accounts import people
from app.rules import Role
from tests.accounts.world import World
from tests.api.answers import ABSENT, assert_problem

REFUSED = "SELECT action, actor_id, via, after ->> 'code' FROM audit_events WHERE outcome = 'REFUSED' ORDER BY id"


def test_what_would_leave_nobody_is_written(world: World) -> None:
    root = world.by_session("root", user := world.user(Role.ADMIN))
    people.change_user(world.platform, world.root, world.root.user_id, {"role": Role.DEV})
    address = f"/users/{user.id}"
    assert_problem(root.ask("PATCH", address, json={"enabled": False}), "last_administrator")
    assert_problem(root.ask("DELETE", address), "last_administrator")
    assert root.ask("POST", f"/console/people/{user.id}/delete").status_code == 422
    assert_problem(root.ask("DELETE", f"/identities/{world.identity(user)}"), "last_way_in")
    assert world.sql(REFUSED) == [
        ("user.update", user.id, "SESSION", "last_administrator"),
        ("user.delete", user.id, "SESSION", "last_administrator"),
        ("user.delete", user.id, "SESSION", "last_administrator"),
        ("identity.delete", user.id, "SESSION", "last_way_in"),
    ]


def test_a_wrong_password_of_ones_own_is_written(world: World) -> None:
    asker = world.by_session("somebody", user := world.user())
    people.change_user(world.platform, world.root, user.id, {"password": "glaze over slip over bisque"})
    asker = world.by_session("somebody", user)
    body = {"password": "bisque under glaze", "currentPassword": "guessed"}
    assert_problem(asker.ask("PATCH", "/me", json=body), "wrong_password")
    assert asker.ask("POST", "/console/account/password", data=body).status_code == 422
    # What only was asked in the wrong way is none.
    assert_problem(asker.ask("PATCH", "/me", json={"name": ""}), "validation_error")
    assert world.sql(REFUSED) == [("user.update", user.id, "SESSION", "wrong_password")] * 2


@pytest.mark.parametrize(
    "headers", [{}, {"Origin": "https://elsewhere.example.org"}, {"Sec-Fetch-Site": "cross-site"}], ids=str
)
def test_what_another_page_asks_for_is_written_under_the_name_of_its_session(
    world: World, headers: dict[str, Any]
) -> None:
    asker = world.by_session("somebody", user := world.user(), knows_token=False)
    assert_problem(asker.ask("PATCH", "/me", json={"name": "x"}, headers=headers), "csrf_failed")
    assert world.sql(REFUSED) == [("user.update", user.id, "SESSION", "csrf_failed")]


def test_a_user_fills_no_database_with_refusals(world: World) -> None:
    user, other = world.by_key("user", world.user()), world.by_key("other", world.user())
    for _ in range(50):
        assert_problem(user.ask("DELETE", f"/functions/{ABSENT}"), "not_found")
    assert 20 <= len(world.sql(REFUSED)) <= 25
    # And hides nothing among them, neither of their own nor of others'.
    user.ask("DELETE", f"/users/{ABSENT}")
    other.ask("DELETE", f"/functions/{ABSENT}")
    assert [action for action, *_ in world.sql(REFUSED)[-2:]] == ["user.delete", "function.delete"]


def test_what_changes_nothing_is_not_written(world: World) -> None:
    root, user, group = world.by_session("root", world.user(Role.ADMIN)), world.user(), world.group()
    things = [
        ("PATCH", f"/users/{user.id}", {"name": user.name, "role": "DEV", "enabled": True}),
        ("PATCH", "/me", {"name": "Somebody 1"}),
        ("PATCH", f"/groups/{group}", {"name": "group 3"}),
        ("PUT", f"/environments/{world.environment()}", {"description": "", "allowedUsers": []}),
        ("PUT", f"/functions/{world.function()}", {"description": "", "allowedGroups": []}),
    ]
    ((before,),) = world.sql("SELECT count(*) FROM audit_events")
    for method, address, same in things:
        first = root.ask(method, address, json=same)
        again = root.ask(method, address, json={})
        assert (first.status_code, again.status_code) == (200, 200), address
        assert first.get_json()["updatedAt"] == first.get_json()["createdAt"]
        assert first.headers.get("ETag") == again.headers.get("ETag")
    assert world.sql("SELECT count(*) FROM audit_events") == [(before,)]
