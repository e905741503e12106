"""What ends or is deleted while somebody is on their way to a provider or back."""

from app.rules import Role
from tests.accounts.racing import meanwhile
from tests.accounts.world import World
from tests.oidc.browsing import Browser
from tests.oidc.issuer import Issuer


def test_a_session_that_ends_meanwhile_begins_no_link(browser: Browser, world: World) -> None:
    browser.sign_in()
    ask = [lambda: browser.post("/console/account/identities/acme/link")]
    (answer,) = meanwhile(world, "DELETE FROM sessions", ask=ask)
    assert (answer.status_code, "You are signed out" in answer.text) == (401, True)


def test_a_group_that_is_deleted_meanwhile_does_not_hinder_a_sign_in(
    browser: Browser, world: World, issuer: Issuer
) -> None:
    group = world.group()
    world.sql("UPDATE groups SET name = 'readers' WHERE id = %s", group)
    issuer.claims["groups"] = ["readers-there"]
    answer = issuer.authorize(browser.leave())
    ask = [lambda: browser.return_with(answer)]
    (back,) = meanwhile(world, "DELETE FROM groups WHERE id = %s", group, ask=ask)
    assert back.status_code == 303
    assert browser.me()["groups"] == []


def test_a_user_who_is_deleted_meanwhile_is_given_no_identity(world: World, issuer: Issuer) -> None:
    root, user = world.by_session("root", world.user(Role.ADMIN)), world.user()
    sent = {"userId": str(user.id), "issuer": issuer.url, "subject": "ada"}
    ask = [lambda: root.ask("POST", "/identities", json=sent)]
    (answer,) = meanwhile(world, "DELETE FROM users WHERE id = %s", user.id, ask=ask)
    assert (answer.status_code, answer.get_json()["code"]) == (422, "unknown_reference")
