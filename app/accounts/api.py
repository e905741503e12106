"""`/users`, `/groups`, `/me`: people."""

from typing import Any
from uuid import UUID

from flask import url_for
from flask.views import MethodView

from app.accounts import domain, people
from app.accounts.guard import actor, caller, csrf_token
from app.accounts.schemas import (
    GroupCreate,
    GroupPage,
    GroupRead,
    GroupWrite,
    MemberAdd,
    OwnRead,
    OwnWrite,
    UserCreate,
    UserPage,
    UserRead,
    UserWrite,
    as_group,
    as_user,
)
from app.http.blueprints import LOCATED, ResourceBlueprint, platform
from app.http.cursors import PageQuery, paged
from app.rules import Role, Scope, rule

blueprint = ResourceBlueprint("accounts", __name__, description="People.")

#: What the errors of people are on the wire.
PROBLEMS = {
    domain.NotFound: "not_found",
    domain.UnknownReference: "unknown_reference",
    domain.EmailTaken: "email_taken",
    domain.GroupNameTaken: "name_taken",
    domain.LastAdministrator: "last_administrator",
    domain.PasswordRefused: "password_refused",
    domain.WrongPassword: "wrong_password",
}


@blueprint.route("/users")
class Users(MethodView):
    """Everybody."""

    @rule(Scope.PEOPLE_READ)
    @blueprint.arguments(PageQuery, location="query")
    @blueprint.response(200, UserPage)
    def get(self, query: dict[str, Any]) -> dict[str, Any]:
        """List users, newest first."""
        page = paged(
            lambda before, limit: people.users(platform(), before=before, limit=limit), query, lambda one: one.user.id
        )
        return page | {"items": [as_user(one) for one in page["items"]]}

    @rule(Scope.PEOPLE_WRITE, role=Role.ADMIN, action="user.create")
    @blueprint.arguments(UserCreate)
    @blueprint.response(201, UserRead, headers=LOCATED)
    def post(self, body: dict[str, Any]) -> Any:
        """Make an account. To give it a password, or to make it an administrator's, takes a key with every scope."""
        person = people.create_user(
            platform(),
            caller(),
            email=body["email"],
            name=body["name"],
            role=body["role"],
            password=body.get("password"),
        )
        return as_user(person), 201, {"Location": url_for("accounts.OneUser", user_id=person.user.id)}


@blueprint.route("/users/<id:user_id>")
class OneUser(MethodView):
    """Somebody."""

    @rule(Scope.PEOPLE_READ)
    @blueprint.response(200, UserRead)
    def get(self, user_id: UUID) -> dict[str, Any]:
        """Read a user."""
        return as_user(people.user(platform(), user_id))

    @rule(Scope.PEOPLE_WRITE, role=Role.ADMIN, action="user.update")
    @blueprint.arguments(UserWrite)
    @blueprint.response(200, UserRead)
    def patch(self, body: dict[str, Any], user_id: UUID) -> dict[str, Any]:
        """Change a user. Whoever is disabled or gets another password is signed out everywhere, at once. To give a
        password, or the role of an administrator, takes a key with every scope.
        """
        return as_user(people.change_user(platform(), caller(), user_id, body))

    @rule(Scope.PEOPLE_WRITE, role=Role.ADMIN, action="user.delete")
    @blueprint.response(204)
    def delete(self, user_id: UUID) -> None:
        """Delete a user with their sessions and keys. What was shared with them alone is then shared with nobody."""
        people.delete_user(platform(), actor(), user_id)


@blueprint.route("/me")
class Me(MethodView):
    """Oneself."""

    @rule()
    @blueprint.response(200, OwnRead)
    def get(self) -> dict[str, Any]:
        """Read oneself."""
        return _own(people.user(platform(), caller().user_id))

    @rule(Scope.ACCOUNT_WRITE, action="user.update")
    @blueprint.arguments(OwnWrite)
    @blueprint.response(200, OwnRead)
    def patch(self, body: dict[str, Any]) -> dict[str, Any]:
        """Change one's name or password. A new password ends one's other sessions."""
        current_password = body.pop("current_password", None)
        return _own(people.change_own(platform(), caller(), body, current_password=current_password))


@blueprint.route("/groups")
class Groups(MethodView):
    """All groups."""

    @rule(Scope.PEOPLE_READ)
    @blueprint.arguments(PageQuery, location="query")
    @blueprint.response(200, GroupPage)
    def get(self, query: dict[str, Any]) -> dict[str, Any]:
        """List groups, newest first."""
        page = paged(
            lambda before, limit: people.groups(platform(), before=before, limit=limit), query, lambda one: one.id
        )
        return page | {"items": [as_group(one) for one in page["items"]]}

    @rule(Scope.PEOPLE_WRITE, role=Role.ADMIN, action="group.create")
    @blueprint.arguments(GroupCreate)
    @blueprint.response(201, GroupRead, headers=LOCATED)
    def post(self, body: dict[str, Any]) -> Any:
        """Make a group."""
        group = people.create_group(platform(), actor(), name=body["name"], description=body.get("description", ""))
        return as_group(group), 201, {"Location": url_for("accounts.OneGroup", group_id=group.id)}


@blueprint.route("/groups/<id:group_id>")
class OneGroup(MethodView):
    """One group."""

    @rule(Scope.PEOPLE_READ)
    @blueprint.response(200, GroupRead)
    def get(self, group_id: UUID) -> dict[str, Any]:
        """Read a group."""
        return as_group(people.group(platform(), group_id))

    @rule(Scope.PEOPLE_WRITE, role=Role.ADMIN, action="group.update")
    @blueprint.arguments(GroupWrite)
    @blueprint.response(200, GroupRead)
    def patch(self, body: dict[str, Any], group_id: UUID) -> dict[str, Any]:
        """Change a group's name or description."""
        return as_group(people.change_group(platform(), actor(), group_id, body))

    @rule(Scope.PEOPLE_WRITE, role=Role.ADMIN, action="group.delete")
    @blueprint.response(204)
    def delete(self, group_id: UUID) -> None:
        """Delete a group. What was shared with it alone is then shared with nobody."""
        people.delete_group(platform(), actor(), group_id)


@blueprint.route("/groups/<id:group_id>/members")
class Members(MethodView):
    """Who is in a group."""

    @rule(Scope.PEOPLE_READ)
    @blueprint.arguments(PageQuery, location="query")
    @blueprint.response(200, UserPage)
    def get(self, query: dict[str, Any], group_id: UUID) -> dict[str, Any]:
        """List the users in a group, newest first."""

        def fetch(before: UUID | None, limit: int) -> list[people.Person]:
            return people.members(platform(), group_id, before=before, limit=limit)

        page = paged(fetch, query, lambda one: one.user.id)
        return page | {"items": [as_user(one) for one in page["items"]]}

    @rule(Scope.PEOPLE_WRITE, role=Role.ADMIN, action="group.add_member")
    @blueprint.arguments(MemberAdd)
    @blueprint.response(201, UserRead)
    def post(self, body: dict[str, Any], group_id: UUID) -> Any:
        """Put a user into a group."""
        return as_user(people.add_member(platform(), actor(), group_id, body["user_id"])), 201


@blueprint.route("/groups/<id:group_id>/members/<id:user_id>")
class Member(MethodView):
    """Somebody in a group."""

    @rule(Scope.PEOPLE_WRITE, role=Role.ADMIN, action="group.remove_member")
    @blueprint.response(204)
    def delete(self, group_id: UUID, user_id: UUID) -> None:
        """Take a user out of a group: what it gave them ends at once."""
        people.remove_member(platform(), actor(), group_id, user_id)


def _own(person: people.Person) -> dict[str, Any]:
    return as_user(person) | {"scopes": sorted(caller().scopes), "csrf_token": csrf_token()}
