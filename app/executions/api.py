"""`/functions/{id}/execute`, `/executions`: execute, wait, read, list."""

from typing import Any
from uuid import UUID

from flask import Response, current_app, jsonify, request, url_for
from flask.views import MethodView

from app.accounts.guard import caller
from app.executions import service
from app.executions.domain import (
    Batch,
    Filter,
    FunctionNotReady,
    InputTooLarge,
    Submission,
    UnknownExecution,
    UnknownVersion,
)
from app.executions.schemas import (
    BatchAccepted,
    BatchRequest,
    ExecuteRequest,
    ExecutionPage,
    ExecutionQuery,
    ExecutionRead,
    WaitQuery,
    as_item,
    as_read,
)
from app.executions.waiting import Waiters
from app.functions.domain import Verification
from app.functions.version_schemas import VersionRead, as_version
from app.http.blueprints import ResourceBlueprint, platform
from app.http.conditions import if_match
from app.http.correlation import correlation_id
from app.http.cursors import paged
from app.http.preferences import preference
from app.http.problems import Problem
from app.identity import new_id
from app.rules import Scope, rule

blueprint = ResourceBlueprint("executions", __name__, description="Functions, run.")

#: What the errors of this package are on the wire.
PROBLEMS = {
    UnknownExecution: "not_found",
    FunctionNotReady: "function_not_ready",
    UnknownVersion: "unknown_reference",
    InputTooLarge: "too_large",
}

#: When a client that was answered 202 had better ask again.
RETRY_AFTER_SECONDS = 1


def waiters() -> Waiters:
    """Everybody in this process who waits for an execution."""
    value: Waiters = current_app.extensions["kiln.waiters"]
    return value


@blueprint.route("/functions/<id:function_id>/execute")
class Execute(MethodView):
    """The act of executing."""

    @rule(Scope.FUNCTIONS_EXECUTE, action="function.execute")
    @blueprint.arguments(ExecuteRequest)
    @blueprint.response(200, ExecutionRead)
    @blueprint.alt_response(
        202, schema=ExecutionRead, description="Accepted; the end was not awaited, or did not come in time."
    )
    def post(self, body: dict[str, Any], function_id: UUID) -> Any:
        """Execute a function and wait for its end, or not: `Prefer: wait=N`, `Prefer: respond-async`."""
        _refuse_idempotency_key()
        wanted = preference(request.headers.get("Prefer"), longest_seconds=platform().settings.sync_wait_seconds)
        submission = Submission(
            id=new_id(),
            function_id=function_id,
            input=body["input"] or "null",
            **body["version"],
            correlation_id=correlation_id(),
        )
        if wanted.wait_seconds > 0:
            execution = service.submit_and_wait(
                platform(), caller(), waiters(), submission, seconds=wanted.wait_seconds
            )
        else:
            execution = service.submit(platform(), caller(), submission)
        headers = {"Preference-Applied": wanted.applied} if wanted.applied else {}
        if execution.is_final:
            return jsonify(as_read(execution)), 200, headers
        location = url_for("executions.OneExecution", execution_id=execution.id)
        return (
            jsonify(as_read(execution)),
            202,
            headers | {"Location": location, "Retry-After": str(RETRY_AFTER_SECONDS)},
        )


@blueprint.route("/functions/<id:function_id>/execute-batch")
class ExecuteBatch(MethodView):
    """The act of executing many times."""

    @rule(Scope.FUNCTIONS_EXECUTE, action="function.execute")
    @blueprint.arguments(BatchRequest)
    @blueprint.response(202, BatchAccepted)
    def post(self, body: dict[str, Any], function_id: UUID) -> Any:
        """Execute a function once for each of many inputs, without waiting: all are accepted, or none."""
        _refuse_idempotency_key()
        batch = Batch(
            ids=sorted(new_id() for _ in body["inputs"]),
            function_id=function_id,
            inputs=body["inputs"],
            **body["version"],
            correlation_id=correlation_id(),
        )
        service.submit_batch(platform(), caller(), batch)
        location = url_for("executions.FunctionExecutions", function_id=function_id, correlationId=batch.correlation_id)
        headers = {"Location": location, "Retry-After": str(RETRY_AFTER_SECONDS)}
        return jsonify({"executionIds": batch.ids}), 202, headers


@blueprint.route("/functions/<id:function_id>/executions")
class FunctionExecutions(MethodView):
    """The history of one function."""

    @rule(Scope.EXECUTIONS_READ)
    @blueprint.arguments(ExecutionQuery, location="query")
    @blueprint.response(200, ExecutionPage)
    def get(self, query: dict[str, Any], function_id: UUID) -> Response:
        """List the executions of a function, newest first."""
        return _page(query, function_id)


@blueprint.route("/executions")
class Executions(MethodView):
    """The history of all functions."""

    @rule(Scope.EXECUTIONS_READ)
    @blueprint.arguments(ExecutionQuery, location="query")
    @blueprint.response(200, ExecutionPage)
    def get(self, query: dict[str, Any]) -> Response:
        """List executions, newest first."""
        return _page(query, None)


@blueprint.route("/executions/<id:execution_id>")
class OneExecution(MethodView):
    """One execution."""

    @rule(Scope.EXECUTIONS_READ)
    @blueprint.arguments(WaitQuery, location="query")
    @blueprint.response(200, ExecutionRead)
    def get(self, query: dict[str, Any], execution_id: UUID) -> Response:
        """Read an execution; `?wait=N` waits up to N seconds for its end."""
        seconds = min(query["wait"], platform().settings.sync_wait_seconds)
        return jsonify(as_read(service.read_when_ended(platform(), caller(), waiters(), execution_id, seconds=seconds)))


@blueprint.route("/functions/<id:function_id>/versions/<number:number>/verify")
class Verify(MethodView):
    """The act of verifying. It is here because whoever waits for a worker waits here."""

    @rule(Scope.FUNCTIONS_WRITE, action="version.verify")
    @blueprint.response(200, VersionRead)
    @blueprint.alt_response(
        202, schema=VersionRead, description="Accepted; the end was not awaited, or did not come in time."
    )
    def post(self, function_id: UUID, number: int) -> Any:
        """Have a version built again from its source, compare the digests and record the answer: `Prefer: wait=N`,
        `Prefer: respond-async`.
        """
        wanted = preference(request.headers.get("Prefer"), longest_seconds=platform().settings.sync_wait_seconds)
        version, is_active = service.verify_and_wait(
            platform(),
            caller(),
            waiters(),
            function_id,
            number,
            seconds=wanted.wait_seconds,
            correlation_id=correlation_id(),
        )
        headers = {"Preference-Applied": wanted.applied} if wanted.applied else {}
        if version.verification != Verification.PENDING:
            return as_version(version, is_active), 200, headers
        location = url_for("versions.OneVersion", function_id=function_id, number=number)
        headers |= {"Location": location, "Retry-After": str(RETRY_AFTER_SECONDS)}
        return as_version(version, is_active), 202, headers


@blueprint.route("/functions/<id:function_id>")
class FunctionEnd(MethodView):
    """The end of a function. It is here because executions know functions, and not the other way round."""

    @rule(Scope.FUNCTIONS_WRITE, action="function.delete")
    @blueprint.response(204)
    def delete(self, function_id: UUID) -> None:
        """Delete a function and its executions; what is queued or running is cancelled."""
        service.delete_function(platform(), caller(), function_id, if_match=if_match())


def _refuse_idempotency_key() -> None:
    if "Idempotency-Key" in request.headers:
        raise Problem("unsupported", "Idempotency-Key is not honoured by this server, so it is not accepted.")


def _page(query: dict[str, Any], function_id: UUID | None) -> Response:
    wanted = Filter(
        function_id=function_id,
        status=query["status"],
        error_type=query["error_type"],
        version=query["version"],
        correlation_id=query["correlation_id"],
        since=query["since"],
        until=query["until"],
    )
    page = paged(
        lambda before, limit: service.page(platform(), caller(), wanted, before=before, limit=limit),
        query,
        lambda execution: execution.id,
    )
    return jsonify({"items": [as_item(execution) for execution in page["items"]], "nextCursor": page["next_cursor"]})
