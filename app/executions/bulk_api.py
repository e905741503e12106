"""`/executions/replay`, `/executions/cancel`: what is done to many executions at once."""

from typing import Any

from flask import jsonify, request, url_for
from flask.views import MethodView

from app.accounts.guard import caller
from app.executions import bulk
from app.executions.domain import Filter, Replays
from app.executions.schemas import BulkCancelRequest, BulkReplayRequest
from app.functions.domain import ACTIVE
from app.http.blueprints import ResourceBlueprint, platform
from app.http.correlation import correlation_id
from app.http.problems import Problem
from app.http.wire import Count
from app.rules import Scope, rule

blueprint = ResourceBlueprint("bulk", __name__, description="Executions, many at once.")


@blueprint.route("/executions/replay")
class ReplayMany(MethodView):
    """The act of executing once more."""

    @rule(Scope.FUNCTIONS_EXECUTE, action="execution.replay")
    @blueprint.arguments(BulkReplayRequest)
    @blueprint.response(202, Count)
    def post(self, body: dict[str, Any]) -> Any:
        """Execute once more what matches and has ended, the oldest first: all are accepted, or none. What cannot be
        executed any more, because its version is gone, is left out.
        """
        if "Idempotency-Key" in request.headers:
            raise Problem("unsupported", "many executions at once are not replayed under a key; use filter and limit")
        version = body["version"]
        replays = Replays(
            wanted=Filter(**body["filter"]),
            limit=body["limit"],
            correlation_id=correlation_id(),
            version=None if version == ACTIVE else version,
            is_active=version == ACTIVE,
            priority=body["priority"],
        )
        count = bulk.replay(platform(), caller(), replays)
        location = url_for("executions.Executions", correlationId=replays.correlation_id)
        return jsonify({"count": count}), 202, {"Location": location}


@blueprint.route("/executions/cancel")
class CancelMany(MethodView):
    """The act of cancelling."""

    @rule(Scope.EXECUTIONS_WRITE, action="executions.cancel")
    @blueprint.arguments(BulkCancelRequest)
    @blueprint.response(202, Count)
    def post(self, body: dict[str, Any]) -> Any:
        """End what matches, has not ended, and is the caller's to cancel."""
        return {"count": bulk.cancel(platform(), caller(), Filter(**body["filter"]))}, 202
