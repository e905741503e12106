"""Everybody who may ask, with what lets them in, functions and environments that are shared in every way."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from app.accounts import credentials, first, people, tokens
from app.accounts.domain import Principal
from app.accounts.models import User
from app.accounts.sharing import Sharing
from app.audit.domain import Actor, Via
from app.environments import service as environments
from app.environments.domain import Secret, Wish
from app.functions import service as functions
from app.functions.domain import FunctionLimits
from app.functions.service import Code
from app.identity import new_id
from app.platform import Platform
from app.rules import EVERY_SCOPE, Role, Scope
from tests.programs import ECHO

READING = frozenset(scope for scope in Scope if scope.endswith(":read"))


@dataclass(frozen=True)
class Asker:
    """A client, who it is, and whether its page knows the session's token."""

    name: str
    client: FlaskClient
    headers: dict[str, str]
    user: User | None = None

    def ask(self, method: str, path: str, **kwargs: Any) -> Any:
        """One request."""
        headers = self.headers | kwargs.pop("headers", {})
        return self.client.open(path, method=method, headers=headers, **kwargs)


class World:
    """Users, groups and functions of one database."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.platform: Platform = app.extensions["kiln"]
        self.root = first.program(self.platform)
        self._number = 0
        self._seen = UUID(int=0)

    def user(self, role: Role = Role.DEV) -> User:
        """Somebody new."""
        self._number += 1
        email = f"somebody{self._number}@example.org"
        return people.create_user(
            self.platform, self.root, email=email, name=f"Somebody {self._number}", role=role, password=None
        ).user

    def group(self, *members: User) -> UUID:
        """A new group of these."""
        self._number += 1
        name = f"group {self._number}"
        group_id = people.create_group(self.platform, self.root.actor, name=name, description="").id
        for member in members:
            people.add_member(self.platform, self.root.actor, group_id, member.id)
        return group_id

    def principal(self, user: User) -> Principal:
        """A user as services see them."""
        found = people.user(self.platform, user.id)
        actor = Actor(user.id, user.email, Via.SYSTEM)
        return Principal(user.id, user.email, user.name, Role(found.user.role), frozenset(found.groups), actor)

    def key(self, user: User, scopes: frozenset[Scope] = EVERY_SCOPE) -> tuple[UUID, str]:
        """A key of a user's."""
        principal = replace(self.principal(user), scopes=EVERY_SCOPE)
        made, text = credentials.create_key(self.platform, principal, name="key", scopes=scopes, expires_at=None)
        return made.id, text

    def identity(self, user: User) -> UUID:
        """Who a user is elsewhere."""
        identity_id = new_id()
        self.sql(
            "INSERT INTO identities (id, user_id, issuer, subject, created_at) "
            "VALUES (%s, %s, 'https://id.example.org', %s, now())",
            identity_id,
            user.id,
            str(identity_id),
        )
        return identity_id

    def session(self, user: User) -> tuple[UUID, str]:
        """A session of a user's, without their password."""
        with self.platform.database.transaction() as session:
            begun = credentials.begin_session(session, _again(session, user), Actor(), user_agent="a browser")
        return begun.session.id, begun.token

    def by_key(self, name: str, user: User, scopes: frozenset[Scope] = EVERY_SCOPE) -> Asker:
        """Somebody with a key."""
        return Asker(name, self.app.test_client(), {"Authorization": f"Bearer {self.key(user, scopes)[1]}"}, user)

    def by_session(self, name: str, user: User, *, knows_token: bool = True) -> Asker:
        """Somebody with a session."""
        session_id, token = self.session(user)
        client = self.app.test_client()
        client.set_cookie("kiln_session", token)
        csrf = tokens.csrf_token(self.platform.settings.secret_key, session_id)
        return Asker(name, client, {"X-CSRF-Token": csrf} if knows_token else {}, user)

    def function(self, owner: User | None = None, *, users: list[UUID] = [], groups: list[UUID] = []) -> UUID:  # noqa: B006 - read only
        """A function that is shared so."""
        self._number += 1
        principal = self.root if owner is None else self.principal(owner)
        return functions.register(
            self.platform,
            principal,
            name=f"function-{self._number}",
            description="",
            code=Code("wat", ECHO.encode()),
            limits=FunctionLimits(),
            sharing=Sharing(users, groups),
            correlation_id="world",
        )[0].id

    def alias(self, function_id: UUID, name: str) -> None:
        """A name for a function's first version, if it is not there yet."""
        self.sql(
            "INSERT INTO aliases (function_id, name, version, updated_at) VALUES (%s, %s, 1, now()) "
            "ON CONFLICT DO NOTHING",
            function_id,
            name,
        )

    def environment(self, *, users: list[UUID] = [], groups: list[UUID] = []) -> UUID:  # noqa: B006 - read only
        """An environment that is shared so."""
        self._number += 1
        return environments.create(
            self.platform,
            self.root.actor,
            name=f"environment-{self._number}",
            description="",
            entries=[Wish("KEY", "", Secret("value"))],
            sharing=Sharing(users, groups),
        ).environment.id

    def sql(self, statement: str, *parameters: object) -> list[Any]:
        """What only time could do."""
        with psycopg.connect(self.platform.settings.database_url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), parameters or None)
            return cursor.fetchall() if cursor.description is not None else []

    def acts(self) -> list[str]:
        """How the acts since the last time ended that came with a request of the matrix."""
        found = self.sql(
            "SELECT id, outcome FROM audit_events WHERE correlation_id = 'matrix' AND id > %s ORDER BY id", self._seen
        )
        self._seen = found[-1][0] if found else self._seen
        return [outcome for _, outcome in found]

    def execution(self, function_id: UUID) -> UUID:
        """An execution of a function, as nobody will run it."""
        execution_id = new_id()
        self.sql(
            "INSERT INTO executions (id, function_id, version, status, input, attempts, trigger, correlation_id, "
            "created_at) VALUES (%s, %s, 1, 'PENDING', '1', 0, 'API', 'world', now())",
            execution_id,
            function_id,
        )
        return execution_id


def expired(world: World, asker: Asker) -> Asker:
    """The same, twelve hours later."""
    end = timedelta(seconds=1)
    assert asker.user is not None
    world.sql("UPDATE sessions SET expires_at = now() - %s WHERE user_id = %s", end, asker.user.id)
    return asker


def _again(session: Session, user: User) -> User:
    return session.get_one(User, user.id)


Make = Callable[[World], Asker]
