"""`/functions/{id}/versions`: list, read."""

from typing import Any
from uuid import UUID

from flask.views import MethodView

from app.accounts.guard import caller
from app.functions import versions
from app.functions.domain import NoSuchVersion, VersionNotReady
from app.functions.version_schemas import VersionPage, VersionRead, as_version, as_version_item
from app.http.blueprints import LARGEST_NUMBER, ResourceBlueprint, platform
from app.http.cursors import PageQuery, paged
from app.rules import Scope, rule

blueprint = ResourceBlueprint("versions", __name__, description="What a function's code was and is.")

#: What the errors of versions are on the wire.
PROBLEMS = {NoSuchVersion: "not_found", VersionNotReady: "version_not_ready"}


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
