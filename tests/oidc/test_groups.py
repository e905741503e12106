"""What a provider says of groups is so here after each sign-in; what somebody here has said stays."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from flask import Flask

from app.accounts import people
from tests.accounts.world import World
from tests.oidc.browsing import Browser
from tests.oidc.issuer import Issuer

Rows = Callable[..., list[Any]]


class Groups:
    """Groups of this installation, by name, and who is in them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ids = {name: self.make(name) for name in ("readers", "writers", "others")}

    def make(self, name: str) -> UUID:
        """A new one."""
        return people.create_group(self.world.platform, self.world.root.actor, name=name, description="").id

    def of(self, browser: Browser) -> set[str]:
        """Those of somebody who is signed in."""
        found = browser.me()["groups"]
        return {name for name, group_id in self.ids.items() if str(group_id) in found}


@pytest.fixture
def groups(world: World) -> Groups:
    """Some."""
    return Groups(world)


def sign_in(app: Flask, issuer: Issuer, *names: str) -> Browser:
    """Somebody who is in these groups there."""
    issuer.claims["groups"] = list(names)
    browser = Browser(app)
    assert browser.sign_in_at(issuer).status_code == 303
    return browser


def test_memberships_follow_the_claim(app: Flask, issuer: Issuer, groups: Groups) -> None:
    first = sign_in(app, issuer, "readers-there", "of no interest")
    assert groups.of(first) == {"readers"}
    assert groups.of(sign_in(app, issuer, "writers-there", "readers-there")) == {"readers", "writers"}
    assert groups.of(sign_in(app, issuer, "writers-there")) == {"writers"}
    # And it is so at once in sessions that began before.
    assert groups.of(first) == {"writers"}
    issuer.claims["groups"] = None
    browser = Browser(app)
    browser.sign_in_at(issuer)
    assert groups.of(browser) == set()


def test_what_a_provider_calls_like_ours_is_not_ours(app: Flask, issuer: Issuer, groups: Groups) -> None:
    assert groups.of(sign_in(app, issuer, "readers", "others")) == set()


def test_what_was_said_here_stays(app: Flask, issuer: Issuer, groups: Groups) -> None:
    browser = sign_in(app, issuer, "readers-there")
    me, actor = UUID(browser.me()["id"]), groups.world.root.actor
    # Given one group by hand, and one by hand that the provider had given, too
    people.add_member(groups.world.platform, actor, groups.ids["others"], me)
    people.add_member(groups.world.platform, actor, groups.ids["readers"], me)
    # Then neither goes with the claim.
    assert groups.of(sign_in(app, issuer)) == {"others", "readers"}


def test_a_group_that_is_not_here_is_not_made(app: Flask, issuer: Issuer, groups: Groups, rows: Rows) -> None:
    people.delete_group(groups.world.platform, groups.world.root.actor, groups.ids["writers"])
    assert groups.of(sign_in(app, issuer, "writers-there", "readers-there")) == {"readers"}
    assert rows("SELECT count(*) FROM groups WHERE name = 'writers'") == [(0,)]


def test_each_change_is_written_and_what_does_not_change_is_not(
    app: Flask, issuer: Issuer, groups: Groups, rows: Rows
) -> None:
    for names in (["readers-there"], ["readers-there"], []):
        sign_in(app, issuer, *names)
    written = rows(
        "SELECT action, actor, resource_id, coalesce(before, after) ->> 'issuer' FROM audit_events "
        "WHERE action LIKE 'group.%%member' ORDER BY id"
    )
    readers = str(groups.ids["readers"])
    assert written == [
        ("group.add_member", "acme", readers, issuer.url),
        ("group.remove_member", "acme", readers, issuer.url),
    ]


def test_only_what_the_same_provider_gave_is_taken(
    app: Flask, issuer: Issuer, other: Issuer, groups: Groups, rows: Rows
) -> None:
    browser = sign_in(app, issuer, "readers-there")
    rows(
        "INSERT INTO identities (id, user_id, issuer, subject, created_at) VALUES (%s, %s, %s, 'ada', now())",
        UUID(int=1),
        browser.me()["id"],
        other.url,
    )
    again = Browser(app)
    again.sign_in_at(other, "other")
    assert again.me()["id"] == browser.me()["id"]
    assert groups.of(again) == {"readers"}


def test_who_is_in_no_group_that_is_let_in_is_not(
    another_process: Callable[..., Flask], app: Flask, issuer: Issuer, groups: Groups, rows: Rows
) -> None:
    known = sign_in(app, issuer, "staff", "readers-there")
    acme, second = app.extensions["kiln"].settings.oidc_providers
    strict = another_process(oidc_providers=(replace(acme, required_groups=frozenset({"staff"})), second))
    assert groups.of(sign_in(strict, issuer, "staff", "readers-there")) == {"readers"}
    # When they are taken out of it there
    issuer.claims["groups"] = ["readers-elsewhere"]
    refused = Browser(strict).sign_in_at(issuer)
    # Then they are refused, and what the group gave them is gone for keys and sessions that they have.
    assert refused.status_code == 401
    assert "none of the provider" in refused.text
    assert groups.of(known) == set()
    issuer.claims["sub"] = "new"
    assert Browser(strict).sign_in_at(issuer).status_code == 401
    assert rows("SELECT after ->> 'reason' FROM audit_events WHERE outcome = 'REFUSED'") == [("GroupMissing",)] * 2
