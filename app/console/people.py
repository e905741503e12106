"""Users, for administrators."""

from typing import Any
from uuid import UUID

from flask import Response, request
from werkzeug.wrappers import Response as BaseResponse

from app.accounts import people
from app.accounts.guard import actor, caller
from app.accounts.schemas import UserCreate, UserWrite
from app.console.forms import read, text, told_at
from app.console.pages import Room, blueprint, listed, show, sought
from app.http.blueprints import platform
from app.rules import Role, Scope, rule

EVERYBODY = Room("people", "console.everybody", ("users",))
SOMEBODY = Room("person", "console.somebody", ("person", "reset", "removal"))

_SWITCHES = {"true": True, "false": False}


def _everybody(**shown: Any) -> Response:
    def fetch(before: UUID | None, limit: int) -> Any:
        return people.users(platform(), before=before, limit=limit, find=sought())

    users = listed(fetch, lambda one: one.user.id)
    return show(EVERYBODY, title="People", users=users, find=sought(), **shown)


def _somebody(user_id: UUID, **shown: Any) -> Response:
    person = people.user(platform(), user_id)
    groups = people.names(platform(), groups=person.groups)
    title = person.user.name
    return show(SOMEBODY, title=title, ids={"user_id": user_id}, person=person, names=groups, **shown)


@blueprint.get("/people")
@rule(Scope.PEOPLE_WRITE, role=Role.ADMIN, is_page=True)
def everybody() -> Response:
    """All users, or those that are looked for."""
    return _everybody()


@blueprint.post("/people")
@rule(Scope.PEOPLE_WRITE, role=Role.ADMIN, action="user.create", is_page=True)
@told_at("make-user", _everybody)
def make_user() -> BaseResponse:
    """Make an account."""
    body = read(
        UserCreate,
        email=text("email"),
        name=text("name") or text("email"),
        role=text("role") or Role.DEV.value,
        password=request.form.get("password") or None,
    )
    people.create_user(platform(), caller(), **{"password": None} | body)
    return EVERYBODY.again()


@blueprint.get("/people/<id:user_id>")
@rule(Scope.PEOPLE_WRITE, role=Role.ADMIN, is_page=True)
def somebody(user_id: UUID) -> Response:
    """One user."""
    return _somebody(user_id)


@blueprint.post("/people/<id:user_id>")
@rule(Scope.PEOPLE_WRITE, role=Role.ADMIN, action="user.update", is_page=True)
@told_at("person-form", _somebody)
def change_user(user_id: UUID) -> BaseResponse:
    """Give another name or role, or enable or disable."""
    enabled = text("enabled") or ""
    changes = read(UserWrite, name=text("name"), role=text("role"), enabled=_SWITCHES.get(enabled))
    people.change_user(platform(), caller(), user_id, changes)
    return SOMEBODY.again(user_id=user_id)


@blueprint.post("/people/<id:user_id>/password")
@rule(Scope.PEOPLE_WRITE, role=Role.ADMIN, action="user.update", is_page=True)
@told_at("reset-form", _somebody)
def reset_password(user_id: UUID) -> Response:
    """Give somebody another password."""
    changes = read(UserWrite, password=request.form.get("password", ""))
    people.change_user(platform(), caller(), user_id, changes)
    return _somebody(user_id, done="password")


@blueprint.post("/people/<id:user_id>/delete")
@rule(Scope.PEOPLE_WRITE, role=Role.ADMIN, action="user.delete", is_page=True)
@told_at("removal-form", _somebody)
def delete_user(user_id: UUID) -> BaseResponse:
    """Delete a user."""
    people.delete_user(platform(), actor(), user_id)
    return EVERYBODY.again()
