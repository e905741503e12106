"""`/environments`: variables and secrets for functions. Administrators write them."""

from typing import Any
from uuid import UUID

from flask import url_for
from flask.views import MethodView

from app.accounts.guard import actor, caller
from app.accounts.sharing import Sharing
from app.environments import domain, service
from app.environments.schemas import (
    EntriesPatch,
    EnvironmentCreate,
    EnvironmentPage,
    EnvironmentRead,
    EnvironmentWrite,
    as_read,
    some,
    whole,
    wishes,
)
from app.http.blueprints import LOCATED, TAGGED, ResourceBlueprint, platform
from app.http.conditions import if_match
from app.http.cursors import PageQuery, paged
from app.rules import Role, Scope, rule

blueprint = ResourceBlueprint("environments", __name__, description="Variables and secrets for functions.")

#: What the errors of this package are on the wire. What cannot be opened is a fault of the installation.
PROBLEMS = {
    domain.UnknownEnvironment: "not_found",
    domain.NameTaken: "name_taken",
    domain.EnvironmentInUse: "environment_in_use",
    domain.RevisionMismatch: "precondition_failed",
    domain.TooLarge: "too_large",
    domain.EntryRefused: "entry_refused",
    domain.CannotOpen: "unavailable",
}


@blueprint.route("/environments")
class Environments(MethodView):
    """All environments."""

    @rule(Scope.ENVIRONMENTS_READ)
    @blueprint.arguments(PageQuery, location="query")
    @blueprint.response(200, EnvironmentPage)
    def get(self, query: dict[str, Any]) -> dict[str, Any]:
        """List environments, newest first, with the keys of their entries and without values."""
        page = paged(
            lambda before, limit: service.page(platform(), caller(), before=before, limit=limit),
            query,
            lambda shown: shown.environment.id,
        )
        return page | {"items": [as_read(shown) for shown in page["items"]]}

    @rule(Scope.ENVIRONMENTS_WRITE, role=Role.ADMIN, action="environment.create")
    @blueprint.arguments(EnvironmentCreate)
    @blueprint.response(201, EnvironmentRead, headers=TAGGED | LOCATED)
    def post(self, body: dict[str, Any]) -> Any:
        """Make an environment."""
        shown = service.create(
            platform(),
            actor(),
            name=body["name"],
            description=body.get("description", ""),
            entries=wishes(body.get("entries", []), pointer="/entries"),
            sharing=Sharing.asked(body),
        )
        location = url_for("environments.OneEnvironment", environment_id=shown.environment.id)
        return as_read(shown), 201, {"Location": location, **_tag(shown)}


@blueprint.route("/environments/<id:environment_id>")
class OneEnvironment(MethodView):
    """One environment."""

    @rule(Scope.ENVIRONMENTS_READ)
    @blueprint.response(200, EnvironmentRead, headers=TAGGED)
    def get(self, environment_id: UUID) -> Any:
        """Read an environment: its variables, and of its secrets the keys."""
        shown = service.read(platform(), caller(), environment_id)
        return as_read(shown), 200, _tag(shown)

    @rule(Scope.ENVIRONMENTS_WRITE, role=Role.ADMIN, action="environment.update")
    @blueprint.arguments(EnvironmentWrite)
    @blueprint.response(200, EnvironmentRead, headers=TAGGED)
    def put(self, body: dict[str, Any], environment_id: UUID) -> Any:
        """Change an environment. What is left out stays; entries are the whole list, in which a secret without a value
        keeps the one that it has.
        """
        shown = service.change(
            platform(),
            actor(),
            environment_id,
            fields={name: body[name] for name in ("name", "description") if name in body},
            entries=whole(body),
            sharing=Sharing.asked(body),
            if_match=if_match(),
        )
        return as_read(shown), 200, _tag(shown)

    @rule(Scope.ENVIRONMENTS_WRITE, role=Role.ADMIN, action="environment.delete")
    @blueprint.response(204)
    def delete(self, environment_id: UUID) -> None:
        """Delete an environment that no function uses, with everything in it."""
        service.delete(platform(), actor(), environment_id, if_match=if_match())


@blueprint.route("/environments/<id:environment_id>/entries")
class Entries(MethodView):
    """What is in an environment."""

    @rule(Scope.ENVIRONMENTS_WRITE, role=Role.ADMIN, action="environment.update")
    @blueprint.arguments(EntriesPatch)
    @blueprint.response(200, EnvironmentRead, headers=TAGGED)
    def patch(self, body: dict[str, Any], environment_id: UUID) -> Any:
        """Set some entries and remove others; all others stay as they are."""
        shown = service.change(platform(), actor(), environment_id, fields={}, entries=some(body), if_match=if_match())
        return as_read(shown), 200, _tag(shown)


def _tag(shown: service.Shown) -> dict[str, str]:
    return {"ETag": f'"{service.etag(shown.environment)}"'}
