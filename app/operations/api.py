"""`/operations`: backlogs, and the function behind each message."""

from typing import Any
from uuid import UUID

from flask.views import MethodView

from app.http.blueprints import ResourceBlueprint, platform
from app.http.cursors import PageQuery, number_of, paged
from app.operations import service
from app.operations.domain import EventFilter
from app.operations.schemas import EventPage, EventQuery, MessagePage, QueuePage, WorkerPage
from app.operations.service import UnknownQueue
from app.rules import Role, Scope, rule

blueprint = ResourceBlueprint("operations", __name__, description="For operators.")

#: What the errors of this package are on the wire.
PROBLEMS = {UnknownQueue: "not_found"}


@blueprint.route("/operations/queues")
class Queues(MethodView):
    """All queues."""

    @rule(Scope.OPERATIONS_READ, role=Role.ADMIN)
    @blueprint.response(200, QueuePage)
    def get(self) -> dict[str, Any]:
        """List the queues with what waits in them."""
        return {"items": service.queues(platform()), "next_cursor": None}


@blueprint.route("/operations/workers")
class Workers(MethodView):
    """All workers."""

    @rule(Scope.OPERATIONS_READ, role=Role.ADMIN)
    @blueprint.response(200, WorkerPage)
    def get(self) -> dict[str, Any]:
        """List the workers that were heard of within the hour."""
        return {"items": service.workers(platform()), "next_cursor": None}


@blueprint.route("/operations/events")
class Events(MethodView):
    """What happened."""

    @rule(Scope.OPERATIONS_READ, role=Role.ADMIN)
    @blueprint.arguments(EventQuery, location="query")
    @blueprint.response(200, EventPage)
    def get(self, query: dict[str, Any]) -> dict[str, Any]:
        """List what happened to workers and tasks, newest first."""
        wanted = EventFilter(
            type=query["type"].replace("*", "%") if "type" in query else None,
            **{name: query[name] for name in ("worker", "task_id", "since", "until") if name in query},
        )

        def fetch(before: UUID | None, limit: int) -> list[dict[str, Any]]:
            return service.events(platform(), wanted, before=number_of(before), limit=limit)

        return paged(fetch, query, lambda row: UUID(int=row["id"]))


@blueprint.route("/operations/queues/<string:name>/messages")
class Messages(MethodView):
    """The messages of one queue."""

    @rule(Scope.OPERATIONS_READ, role=Role.ADMIN)
    @blueprint.arguments(PageQuery, location="query")
    @blueprint.response(200, MessagePage)
    def get(self, query: dict[str, Any], name: str) -> dict[str, Any]:
        """List the messages of a queue, oldest first: whose they are, how old, in whose hands."""

        def fetch(after: UUID | None, limit: int) -> list[dict[str, Any]]:
            return service.messages(platform(), name, after=number_of(after), limit=limit)

        return paged(fetch, query, lambda row: UUID(int=row["id"]))
