"""Groups and who is in them, for administrators."""

from typing import Any
from uuid import UUID

from flask import Response, request
from werkzeug.wrappers import Response as BaseResponse

from app.accounts import people
from app.accounts.guard import actor
from app.accounts.schemas import GroupCreate, GroupWrite, MemberAdd
from app.console.forms import read, text, told_at
from app.console.pages import MOST_FOUND, Room, blueprint, listed, show, sought
from app.http.blueprints import platform
from app.rules import Role, Scope, rule

GROUPS = Room("groups", "console.groups", ("all",))
GROUP = Room("group", "console.one_group", ("members", "group", "removal"))


def _groups(**shown: Any) -> Response:
    def fetch(before: UUID | None, limit: int) -> Any:
        return people.groups(platform(), before=before, limit=limit, find=sought())

    return show(GROUPS, title="Groups", groups=listed(fetch), find=sought(), **shown)


def _group(group_id: UUID, **shown: Any) -> Response:
    def fetch(before: UUID | None, limit: int) -> Any:
        return people.members(platform(), group_id, before=before, limit=limit)

    group = people.group(platform(), group_id)
    find = sought()
    found = people.users(platform(), before=None, limit=MOST_FOUND, find=find) if find else []
    members = listed(fetch, lambda one: one.user.id)
    shown |= {"group": group, "members": members, "find": find, "found": found}
    return show(GROUP, title=group.name, ids={"group_id": group_id}, **shown)


@blueprint.get("/groups")
@rule(Scope.PEOPLE_WRITE, role=Role.ADMIN, is_page=True)
def groups() -> Response:
    """All groups, or those that are looked for."""
    return _groups()


@blueprint.post("/groups")
@rule(Scope.PEOPLE_WRITE, role=Role.ADMIN, action="group.create", is_page=True)
@told_at("make-group", _groups)
def make_group() -> BaseResponse:
    """Make a group."""
    body = read(GroupCreate, name=text("name"), description=request.form.get("description"))
    people.create_group(platform(), actor(), name=body["name"], description=body.get("description", ""))
    return GROUPS.again()


@blueprint.get("/groups/<id:group_id>")
@rule(Scope.PEOPLE_WRITE, role=Role.ADMIN, is_page=True)
def one_group(group_id: UUID) -> Response:
    """One group."""
    return _group(group_id)


@blueprint.post("/groups/<id:group_id>")
@rule(Scope.PEOPLE_WRITE, role=Role.ADMIN, action="group.update", is_page=True)
@told_at("group-form", _group)
def change_group(group_id: UUID) -> BaseResponse:
    """Call it otherwise."""
    changes = read(GroupWrite, name=text("name") or "", description=request.form.get("description"))
    people.change_group(platform(), actor(), group_id, changes)
    return GROUP.again(group_id=group_id)


@blueprint.post("/groups/<id:group_id>/delete")
@rule(Scope.PEOPLE_WRITE, role=Role.ADMIN, action="group.delete", is_page=True)
@told_at("removal-form", _group)
def delete_group(group_id: UUID) -> BaseResponse:
    """Delete a group."""
    people.delete_group(platform(), actor(), group_id)
    return GROUPS.again()


@blueprint.post("/groups/<id:group_id>/members")
@rule(Scope.PEOPLE_WRITE, role=Role.ADMIN, action="group.add_member", is_page=True)
@told_at("add-member", _group)
def add_member(group_id: UUID) -> BaseResponse:
    """Put somebody into a group."""
    people.add_member(platform(), actor(), group_id, read(MemberAdd, userId=text("userId"))["user_id"])
    return GROUP.again(group_id=group_id)


@blueprint.post("/groups/<id:group_id>/members/<id:user_id>/remove")
@rule(Scope.PEOPLE_WRITE, role=Role.ADMIN, action="group.remove_member", is_page=True)
def remove_member(group_id: UUID, user_id: UUID) -> BaseResponse:
    """Take somebody out of a group."""
    people.remove_member(platform(), actor(), group_id, user_id)
    return GROUP.again(group_id=group_id)
