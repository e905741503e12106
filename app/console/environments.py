"""Environments: whoever may read them sees their variables, and administrators write them. Secrets are never shown."""

from typing import Any, Final
from uuid import UUID

from flask import Response, request
from werkzeug.wrappers import Response as BaseResponse

from app.accounts import people
from app.accounts.guard import actor, caller
from app.accounts.sharing import Sharing
from app.audit import service as audit
from app.audit.domain import EventFilter
from app.console.forms import read, text, told_at
from app.console.pages import MOST_FOUND, Room, blueprint, listed, show, sought
from app.environments import service
from app.environments.schemas import EntriesPatch, EnvironmentCreate, EnvironmentWrite, some
from app.http.blueprints import platform
from app.rules import Role, Scope, rule

ENVIRONMENTS = Room("environments", "console.environments", ("all",))
ENVIRONMENT = Room("environment", "console.one_environment", ("entries", "sharing", "profile", "history", "removal"))

_MOST_ACTS: Final = 20


def _environments(**shown: Any) -> Response:
    def fetch(before: UUID | None, limit: int) -> Any:
        return service.page(platform(), caller(), before=before, limit=limit)

    environments = listed(fetch, lambda one: one.environment.id)
    return show(ENVIRONMENTS, title="Environments", environments=environments, **shown)


def _environment(environment_id: UUID, **shown: Any) -> Response:
    one = service.read(platform(), caller(), environment_id)
    environment, find = one.environment, sought()
    shown |= {"environment": environment, "entries": one.entries, "find": find}
    shown["names"] = people.names(platform(), users=environment.allowed_users, groups=environment.allowed_groups)
    if find and Scope.PEOPLE_READ in caller().scopes:
        shown["users"] = people.users(platform(), before=None, limit=MOST_FOUND, find=find)
        shown["groups"] = people.groups(platform(), before=None, limit=MOST_FOUND, find=find)
    if caller().is_admin and Scope.AUDIT_READ in caller().scopes:
        wanted = EventFilter(resource=str(environment_id))
        shown["acts"] = audit.page(platform(), wanted, before=None, limit=_MOST_ACTS)
    ids = {"environment_id": environment_id}
    return show(ENVIRONMENT, title=environment.name, ids=ids, along=("history",), **shown)


@blueprint.get("/environments")
@rule(Scope.ENVIRONMENTS_READ, is_page=True)
def environments() -> Response:
    """All environments that one may see."""
    return _environments()


@blueprint.post("/environments")
@rule(Scope.ENVIRONMENTS_WRITE, role=Role.ADMIN, action="environment.create", is_page=True)
@told_at("make-environment", _environments)
def make_environment() -> BaseResponse:
    """Make an environment, which is then filled."""
    alone = [str(caller().user_id)] if text("shared") == "me" else None
    description = request.form.get("description")
    body = read(EnvironmentCreate, name=text("name"), description=description, allowedUsers=alone)
    service.create(
        platform(),
        actor(),
        name=body["name"],
        description=body.get("description", ""),
        entries=(),
        sharing=Sharing.asked(body),
    )
    return ENVIRONMENTS.again()


@blueprint.get("/environments/<id:environment_id>")
@rule(Scope.ENVIRONMENTS_READ, is_page=True)
def one_environment(environment_id: UUID) -> Response:
    """One environment."""
    return _environment(environment_id)


@blueprint.post("/environments/<id:environment_id>")
@rule(Scope.ENVIRONMENTS_WRITE, role=Role.ADMIN, action="environment.update", is_page=True)
@told_at("profile-form", _environment)
def change_environment(environment_id: UUID) -> BaseResponse:
    """Call it otherwise."""
    fields = read(EnvironmentWrite, name=text("name") or "", description=request.form.get("description"))
    service.change(platform(), actor(), environment_id, fields=fields, if_match=None)
    return ENVIRONMENT.again(environment_id=environment_id)


@blueprint.post("/environments/<id:environment_id>/entries")
@rule(Scope.ENVIRONMENTS_WRITE, role=Role.ADMIN, action="environment.update", is_page=True)
@told_at("set-entry", _environment)
def set_entry(environment_id: UUID) -> BaseResponse:
    """Set a variable or a secret. What is a secret stays one."""
    # Forms send each end of a line as CR LF, whatever was typed.
    value = request.form.get("value", "").replace("\r\n", "\n")
    entry = {"key": text("key") or "", "value": value} | ({"secret": True} if text("secret") else {})
    return _with_entries(environment_id, set=[entry])


@blueprint.post("/environments/<id:environment_id>/entries/remove")
@rule(Scope.ENVIRONMENTS_WRITE, role=Role.ADMIN, action="environment.update", is_page=True)
@told_at("set-entry", _environment)
def remove_entry(environment_id: UUID) -> BaseResponse:
    """Remove a variable or a secret."""
    return _with_entries(environment_id, remove=[text("key") or ""])


@blueprint.post("/environments/<id:environment_id>/sharing")
@rule(Scope.ENVIRONMENTS_WRITE, role=Role.ADMIN, action="environment.update", is_page=True)
@told_at("share", _environment)
def share_environment(environment_id: UUID) -> BaseResponse:
    """Share it with one user or group more, or less."""
    one = service.read(platform(), caller(), environment_id).environment
    users = _with("User", one.allowed_users)
    groups = _with("Group", one.allowed_groups)
    sharing = Sharing.asked(read(EnvironmentWrite, allowedUsers=users, allowedGroups=groups))
    # What was read is what is changed: nobody's sharing in between is undone.
    service.change(platform(), actor(), environment_id, fields={}, sharing=sharing, if_match=service.etag(one))
    return ENVIRONMENT.again(environment_id=environment_id)


@blueprint.post("/environments/<id:environment_id>/delete")
@rule(Scope.ENVIRONMENTS_WRITE, role=Role.ADMIN, action="environment.delete", is_page=True)
@told_at("removal-form", _environment)
def delete_environment(environment_id: UUID) -> BaseResponse:
    """Delete an environment that no function uses."""
    service.delete(platform(), actor(), environment_id, if_match=None)
    return ENVIRONMENTS.again()


def _with_entries(environment_id: UUID, **patch: Any) -> BaseResponse:
    entries = some(read(EntriesPatch, **patch))
    service.change(platform(), actor(), environment_id, fields={}, entries=entries, if_match=None)
    return ENVIRONMENT.again(environment_id=environment_id)


def _with(kind: str, ids: list[UUID]) -> list[str]:
    """The ids, with the one that `addUser` or `addGroup` names, without the one that `removeUser` names."""
    kept = [str(one) for one in ids if str(one) != text(f"remove{kind}")]
    added = text(f"add{kind}")
    return kept if added is None or added in kept else [*kept, added]
