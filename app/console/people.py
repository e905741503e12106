"""Users and groups."""

from typing import Any

from flask import Response, redirect, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from app.accounts import people
from app.accounts.domain import NotFound
from app.accounts.guard import actor
from app.console.pages import MOST_SHOWN, blueprint, page, told
from app.http.blueprints import platform
from app.identity import parse_id
from app.rules import Role, Scope, rule


@blueprint.get("/people")
@rule(Scope.PEOPLE_WRITE, role=Role.ADMIN, is_page=True)
def everybody() -> Response:
    """Users and groups."""
    return _people()


@blueprint.post("/people")
@rule(Scope.PEOPLE_WRITE, role=Role.ADMIN, action="user.create", is_page=True)
@told
def make_user() -> BaseResponse:
    """Make an account."""
    form = request.form
    people.create_user(
        platform(),
        actor(),
        email=form.get("email", ""),
        name=form.get("name", "") or form.get("email", ""),
        role=Role.ADMIN if form.get("role") == Role.ADMIN else Role.DEV,
        password=form.get("password") or None,
    )
    return redirect(url_for("console.everybody"), 303)


@blueprint.post("/people/<id:user_id>")
@rule(Scope.PEOPLE_WRITE, role=Role.ADMIN, action="user.update", is_page=True)
@told
def change_user(user_id: Any) -> BaseResponse:
    """Give another role, or enable or disable."""
    changes: dict[str, Any] = {}
    if request.form.get("role") in set(Role):
        changes["role"] = Role(request.form["role"])
    if request.form.get("enabled") in {"true", "false"}:
        changes["enabled"] = request.form["enabled"] == "true"
    people.change_user(platform(), actor(), user_id, changes)
    return redirect(url_for("console.everybody"), 303)


@blueprint.post("/groups")
@rule(Scope.PEOPLE_WRITE, role=Role.ADMIN, action="group.create", is_page=True)
@told
def make_group() -> BaseResponse:
    """Make a group."""
    people.create_group(platform(), actor(), name=request.form.get("name", "").strip() or "group", description="")
    return redirect(url_for("console.everybody"), 303)


@blueprint.post("/groups/<id:group_id>/members")
@rule(Scope.PEOPLE_WRITE, role=Role.ADMIN, action="group.add_member", is_page=True)
@told
def add_member(group_id: Any) -> BaseResponse:
    """Put somebody into a group."""
    user_id = parse_id(request.form.get("userId", ""))
    if user_id is None:
        raise NotFound
    people.add_member(platform(), actor(), group_id, user_id)
    return redirect(url_for("console.everybody"), 303)


@blueprint.post("/groups/<id:group_id>/members/<id:user_id>/remove")
@rule(Scope.PEOPLE_WRITE, role=Role.ADMIN, action="group.remove_member", is_page=True)
@told
def remove_member(group_id: Any, user_id: Any) -> BaseResponse:
    """Take somebody out of a group."""
    people.remove_member(platform(), actor(), group_id, user_id)
    return redirect(url_for("console.everybody"), 303)


def _people() -> Response:
    groups = people.groups(platform(), before=None, limit=MOST_SHOWN)
    members = people.members_of(platform(), [one.id for one in groups])
    users = people.users(platform(), before=None, limit=MOST_SHOWN)
    return page("people.html", users=users, groups=groups, members=members)
