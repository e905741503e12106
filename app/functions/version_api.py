"""`/functions/{id}/versions` and `/aliases`: list, read, compare, activate, name."""

from typing import Any
from uuid import UUID

from flask import url_for
from flask.views import MethodView

from app.accounts.guard import caller
from app.functions import aliases, versions
from app.functions.aliases import Choice
from app.functions.domain import (
    NoSuchAlias,
    NoSuchVersion,
    ReservedAlias,
    TooManyAliases,
    VersionNotReady,
    VersionSuperseded,
)
from app.functions.schemas import FunctionRead, as_read, tag
from app.functions.version_schemas import (
    AliasPage,
    AliasRead,
    AliasWrite,
    DiffQuery,
    DiffRead,
    VersionPage,
    VersionRead,
    as_alias,
    as_diff,
    as_version,
    as_version_item,
)
from app.http.blueprints import LARGEST_NUMBER, LOCATED, TAGGED, ResourceBlueprint, platform
from app.http.conditions import if_match
from app.http.cursors import PageQuery, paged
from app.rules import Scope, rule

blueprint = ResourceBlueprint("versions", __name__, description="What a function's code was and is.")

#: What the errors of versions are on the wire.
PROBLEMS = {
    NoSuchVersion: "not_found",
    NoSuchAlias: "not_found",
    VersionNotReady: "version_not_ready",
    VersionSuperseded: "version_superseded",
    ReservedAlias: "name_taken",
    TooManyAliases: "limit_reached",
}


@blueprint.route("/functions/<id:function_id>/versions")
class Versions(MethodView):
    """What a function's code was and is."""

    @rule(Scope.FUNCTIONS_READ)
    @blueprint.arguments(PageQuery, location="query")
    @blueprint.response(200, VersionPage)
    def get(self, query: dict[str, Any], function_id: UUID) -> dict[str, Any]:
        """List the versions of a function, newest first, without source and compile log."""

        def fetch(before: UUID | None, limit: int) -> Any:
            number = None if before is None else min(before.int, LARGEST_NUMBER)
            return versions.page(platform(), caller(), function_id, before=number, limit=limit)

        page = paged(fetch, query, lambda row: UUID(int=row[0].number))
        return page | {"items": [as_version_item(*row) for row in page["items"]]}


@blueprint.route("/functions/<id:function_id>/versions/<number:number>")
class OneVersion(MethodView):
    """One version."""

    @rule(Scope.FUNCTIONS_READ)
    @blueprint.response(200, VersionRead)
    def get(self, function_id: UUID, number: int) -> dict[str, Any]:
        """Read a version: its source, what compiled it and how, the digests of what that made, and what came of the
        last verification.
        """
        return as_version(*versions.read(platform(), caller(), function_id, number))


@blueprint.route("/functions/<id:function_id>/versions/<number:number>/diff")
class Diff(MethodView):
    """What a version changed."""

    @rule(Scope.FUNCTIONS_READ)
    @blueprint.arguments(DiffQuery, location="query")
    @blueprint.response(200, DiffRead)
    def get(self, query: dict[str, Any], function_id: UUID, number: int) -> dict[str, Any]:
        """Compare the source of a version with that of another, or of the one before."""
        other = query["other"] or max(number - 1, 1)
        return as_diff(*versions.compare(platform(), caller(), function_id, number, other))


@blueprint.route("/functions/<id:function_id>/versions/<number:number>/activate")
class Activate(MethodView):
    """The act of choosing what runs."""

    @rule(Scope.FUNCTIONS_WRITE, action="version.activate")
    @blueprint.response(200, FunctionRead, headers=TAGGED)
    def post(self, function_id: UUID, number: int) -> Any:
        """Let a READY version be the active one from the next execution on; nothing is compiled for it."""
        row = versions.activate(platform(), caller(), function_id, number, if_match=if_match())
        return as_read(*row), 200, tag(row[0])


@blueprint.route("/functions/<id:function_id>/aliases")
class Aliases(MethodView):
    """The names of a function's versions."""

    @rule(Scope.FUNCTIONS_READ)
    @blueprint.response(200, AliasPage)
    def get(self, function_id: UUID) -> dict[str, Any]:
        """List the aliases of a function by name, all of them."""
        found = aliases.of(platform(), caller(), function_id)
        return {"items": [as_alias(alias) for alias in found], "next_cursor": None}


@blueprint.route("/functions/<id:function_id>/aliases/<label:name>")
class OneAlias(MethodView):
    """One alias."""

    @rule(Scope.FUNCTIONS_READ)
    @blueprint.response(200, AliasRead)
    def get(self, function_id: UUID, name: str) -> dict[str, Any]:
        """Read an alias."""
        return as_alias(aliases.read(platform(), caller(), function_id, name))

    @rule(Scope.FUNCTIONS_WRITE, action="alias.point")
    @blueprint.arguments(AliasWrite)
    @blueprint.response(200, AliasRead)
    @blueprint.alt_response(201, schema=AliasRead, headers=LOCATED, description="It is new.")
    def put(self, body: dict[str, Any], function_id: UUID, name: str) -> Any:
        """Let a name mean a READY version, and perhaps another one for a share of the executions."""
        following = body["next"] or {}
        choice = Choice(body["version"], following.get("version"), following.get("weight"))
        alias, is_new = aliases.point(platform(), caller(), function_id, name, choice)
        if not is_new:
            return as_alias(alias), 200
        location = url_for("versions.OneAlias", function_id=function_id, name=name)
        return as_alias(alias), 201, {"Location": location}

    @rule(Scope.FUNCTIONS_WRITE, action="alias.remove")
    @blueprint.response(204)
    def delete(self, function_id: UUID, name: str) -> None:
        """Let a name mean nothing any more."""
        aliases.remove(platform(), caller(), function_id, name)
