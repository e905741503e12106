"""`/operations`: backlogs, and the function behind each message."""

from typing import Any
from uuid import UUID

from flask.views import MethodView

from app.http.blueprints import ResourceBlueprint, platform
from app.http.cursors import PageQuery, paged
from app.operations import service
from app.operations.schemas import MessagePage, QueuePage
from app.operations.service import UnknownQueue

blueprint = ResourceBlueprint("operations", __name__, description="For operators.")

_LARGEST_ID = 2**63 - 1

#: What the errors of this package are on the wire.
PROBLEMS = {UnknownQueue: "not_found"}


@blueprint.route("/operations/queues")
class Queues(MethodView):
    """All queues."""

    @blueprint.response(200, QueuePage)
    def get(self) -> dict[str, Any]:
        """List the queues with what waits in them."""
        return {"items": service.queues(platform()), "next_cursor": None}


@blueprint.route("/operations/queues/<string:name>/messages")
class Messages(MethodView):
    """The messages of one queue."""

    @blueprint.arguments(PageQuery, location="query")
    @blueprint.response(200, MessagePage)
    def get(self, query: dict[str, Any], name: str) -> dict[str, Any]:
        """List the messages of a queue, oldest first: whose they are, how old, in whose hands."""

        def fetch(after: UUID | None, limit: int) -> list[dict[str, Any]]:
            return service.messages(
                platform(), name, after=None if after is None else min(after.int, _LARGEST_ID), limit=limit
            )

        return paged(fetch, query, lambda row: UUID(int=row["id"]))
