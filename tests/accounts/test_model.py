"""Users, groups, shares, keys and sessions against a model that has nothing but sets: whoever the model lets in is let
in, and every list is what the model says.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar
from uuid import UUID

import pytest
from flask import Flask
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from app.accounts import people
from app.accounts.domain import LastAdministrator
from app.rules import Role
from tests.accounts.world import Asker, World

MOST_ASKED = 3


@dataclass
class Somebody:
    """What the model knows of a user."""

    id: UUID
    is_admin: bool
    enabled: bool = True
    groups: set[UUID] = field(default_factory=set)


@dataclass
class Thing:
    """What the model knows of a function."""

    id: UUID
    users: set[UUID]
    groups: set[UUID]

    def is_for(self, user: Somebody) -> bool:
        """The rule, by sets."""
        named = self.users | self.groups
        return user.is_admin or not named or bool(named & ({user.id} | user.groups))


@dataclass
class Credential:
    """What lets somebody in, and whether it still does."""

    asker: Asker
    user: Somebody
    id: UUID
    is_session: bool
    lives: bool = True

    @property
    def lets_in(self) -> bool:
        """Whether the model says so."""
        return self.lives and self.user.enabled


class Model(RuleBasedStateMachine):
    """Runs over one world, whose database each run fills further."""

    world: ClassVar[World]

    users, groups, things, credentials = Bundle("users"), Bundle("groups"), Bundle("things"), Bundle("credentials")

    def __init__(self) -> None:
        super().__init__()
        self.world.sql("DELETE FROM functions")
        self.everything: list[Thing] = []
        self.everyone: list[Credential] = []

    @rule(target=users, is_admin=st.booleans())
    def make_user(self, is_admin: bool) -> Somebody:
        made = self.world.user(Role.ADMIN if is_admin else Role.DEV)
        return Somebody(made.id, is_admin)

    @rule(target=groups)
    def make_group(self) -> UUID:
        return self.world.group()

    @rule(user=users, group=groups)
    def join(self, user: Somebody, group: UUID) -> None:
        people.add_member(self.world.platform, self.world.root.actor, group, user.id)
        user.groups.add(group)

    @rule(user=users, group=groups)
    def leave(self, user: Somebody, group: UUID) -> None:
        if group in user.groups:
            people.remove_member(self.world.platform, self.world.root.actor, group, user.id)
            user.groups.discard(group)

    @rule(user=users, enabled=st.booleans())
    def enable(self, user: Somebody, enabled: bool) -> None:
        people.change_user(self.world.platform, self.world.root, user.id, {"enabled": enabled})
        user.enabled = enabled
        if not enabled:
            for one in self.everyone:
                one.lives = one.lives and not (one.is_session and one.user is user)

    @rule(user=users, is_admin=st.booleans())
    def promote(self, user: Somebody, is_admin: bool) -> None:
        try:
            role = Role.ADMIN if is_admin else Role.DEV
            people.change_user(self.world.platform, self.world.root, user.id, {"role": role})
        except LastAdministrator:
            pytest.fail("the first administrator is one, too")
        user.is_admin = is_admin

    @rule(target=things, users=st.lists(users, max_size=2), groups=st.lists(groups, max_size=2, unique=True))
    def share(self, users: list[Somebody], groups: list[UUID]) -> Thing:
        ids = list(dict.fromkeys(one.id for one in users))
        made = Thing(self.world.function(users=ids, groups=groups), set(ids), set(groups))
        self.everything.append(made)
        return made

    @rule(thing=things, user=users)
    def share_with_one_more(self, thing: Thing, user: Somebody) -> None:
        if thing not in self.everything:
            return
        thing.users.add(user.id)
        ids = sorted(thing.users)
        self.world.sql("UPDATE functions SET allowed_users = %s WHERE id = %s", ids, thing.id)

    @rule(thing=consumes(things))
    def delete(self, thing: Thing) -> None:
        self.world.sql("UPDATE functions SET deleted_at = now() WHERE id = %s", thing.id)
        self.everything.remove(thing)

    @rule(target=credentials, user=users, is_session=st.booleans())
    def let_in(self, user: Somebody, is_session: bool) -> Any:
        if not user.enabled:
            return multiple()
        known = people.user(self.world.platform, user.id).user
        asker = (self.world.by_session if is_session else self.world.by_key)("asker", known)
        table = "sessions" if is_session else "api_keys"
        ((credential_id,),) = self.world.sql(
            f"SELECT id FROM {table} WHERE user_id = %s ORDER BY id DESC LIMIT 1",  # noqa: S608 - one of two words
            user.id,
        )
        made = Credential(asker, user, credential_id, is_session)
        self.everyone.append(made)
        return made

    @rule(credential=consumes(credentials))
    def revoke(self, credential: Credential) -> None:
        kind = "sessions" if credential.is_session else "api-keys"
        response = credential.asker.ask("DELETE", f"/{kind}/{credential.id}")
        assert response.status_code == (204 if credential.lets_in else 401)
        # Whoever is not let in revokes nothing: the keys of somebody disabled are there again with them.
        credential.lives = credential.lives and not credential.lets_in

    @invariant()
    def everybody_is_answered_as_the_model_says(self) -> None:
        for one in self.everyone[-MOST_ASKED:]:
            response = one.asker.ask("GET", "/functions?limit=200")
            assert response.status_code == (200 if one.lets_in else 401), one
            if not one.lets_in:
                continue
            listed = {UUID(item["id"]) for item in response.get_json()["items"]}
            assert listed == {thing.id for thing in self.everything if thing.is_for(one.user)}
            for thing in self.everything[-MOST_ASKED:]:
                status = one.asker.ask("GET", f"/functions/{thing.id}").status_code
                assert status == (200 if thing.is_for(one.user) else 404)


def test_access_is_what_the_model_says(app: Flask) -> None:
    Model.world = World(app)
    few = settings(max_examples=30, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(Model, settings=few)
