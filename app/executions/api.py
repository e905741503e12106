"""`/functions/{id}/execute`, `/executions`: execute, wait, read, list, cancel, replay."""

import re
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

from flask import Response, current_app, jsonify, request, url_for
from flask.views import MethodView

from app.accounts.guard import caller
from app.executions import service
from app.executions.domain import (
    LONGEST_AHEAD,
    Batch,
    EndedAlready,
    Filter,
    FunctionNotReady,
    InputTooLarge,
    Key,
    KeyInProgress,
    KeyMismatch,
    Submission,
    UnknownExecution,
    UnknownVersion,
)
from app.executions.schemas import (
    AttemptPage,
    BatchAccepted,
    BatchRequest,
    CancelledRead,
    ExecuteRequest,
    ExecutionPage,
    ExecutionQuery,
    ExecutionRead,
    LogsRead,
    ReplayRequest,
    WaitQuery,
    as_cancelled,
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
from app.limits.domain import headers as rate_headers
from app.rules import Scope, rule

blueprint = ResourceBlueprint("executions", __name__, description="Functions, run.")

#: What the errors of this package are on the wire.
PROBLEMS = {
    UnknownExecution: "not_found",
    FunctionNotReady: "function_not_ready",
    UnknownVersion: "unknown_reference",
    InputTooLarge: "too_large",
    EndedAlready: "execution_ended",
    KeyMismatch: "idempotency_mismatch",
    KeyInProgress: "idempotency_in_progress",
}

_LONGEST_KEY = 255
_KEY = re.compile(rf"[\x20-\x7e]{{1,{_LONGEST_KEY}}}")

#: When a client that was answered 202 had better ask again.
RETRY_AFTER_SECONDS = 1

_ACCEPTED = "Accepted; the end was not awaited, or did not come in time."


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
    @blueprint.alt_response(202, schema=ExecutionRead, description=_ACCEPTED)
    def post(self, body: dict[str, Any], function_id: UUID) -> Any:
        """Execute a function and wait for its end, or not: `Prefer: wait=N`, `Prefer: respond-async`."""
        return _execute(Submission(id=new_id(), function_id=function_id, input=_input(body), **_terms(body)))


@blueprint.route("/functions/<id:function_id>/execute-batch")
class ExecuteBatch(MethodView):
    """The act of executing many times."""

    @rule(Scope.FUNCTIONS_EXECUTE, action="function.execute")
    @blueprint.arguments(BatchRequest)
    @blueprint.response(202, BatchAccepted)
    def post(self, body: dict[str, Any], function_id: UUID) -> Any:
        """Execute a function once for each of many inputs, without waiting: all are accepted, or none."""
        ids = sorted(new_id() for _ in body["inputs"])
        batch = Batch(ids=ids, function_id=function_id, inputs=body["inputs"], **_terms(body))
        accepted, standings = service.submit_batch(platform(), caller(), batch)
        location = url_for("executions.FunctionExecutions", function_id=function_id, correlationId=batch.correlation_id)
        headers = {"Location": location, "Retry-After": str(RETRY_AFTER_SECONDS)} | rate_headers(standings)
        return jsonify({"executionIds": accepted}), 202, headers


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


@blueprint.route("/executions/<id:execution_id>/logs")
class Logs(MethodView):
    """What an execution printed."""

    @rule(Scope.EXECUTIONS_READ)
    @blueprint.response(200, LogsRead)
    def get(self, execution_id: UUID) -> dict[str, Any]:
        """Read the logs of an execution."""
        return {"execution_id": execution_id, "logs": service.read(platform(), caller(), execution_id).logs}


@blueprint.route("/executions/<id:execution_id>/attempts")
class Attempts(MethodView):
    """What was tried."""

    @rule(Scope.EXECUTIONS_READ)
    @blueprint.response(200, AttemptPage)
    def get(self, execution_id: UUID) -> dict[str, Any]:
        """List the attempts at an execution, the first one first, all of them."""
        return {"items": service.attempts(platform(), caller(), execution_id), "next_cursor": None}


@blueprint.route("/executions/<id:execution_id>/cancel")
class Cancel(MethodView):
    """The act of cancelling."""

    @rule(Scope.EXECUTIONS_WRITE, action="execution.cancel")
    @blueprint.response(200, CancelledRead)
    def post(self, execution_id: UUID) -> Response:
        """End an execution that has not ended: what waits is never run, what runs is stopped within a second. Without
        `executions:read` the answer has no `input`, `output`, `logs` and `progress`.
        """
        cancelled = service.cancel_for(platform(), caller(), execution_id)
        return jsonify(as_cancelled(cancelled, is_readable=Scope.EXECUTIONS_READ in caller().scopes))


@blueprint.route("/executions/<id:execution_id>/replay")
class Replay(MethodView):
    """The act of executing once more."""

    @rule(Scope.FUNCTIONS_EXECUTE, action="execution.replay")
    @blueprint.arguments(ReplayRequest)
    @blueprint.response(200, ExecutionRead)
    @blueprint.alt_response(202, schema=ExecutionRead, description=_ACCEPTED)
    def post(self, body: dict[str, Any], execution_id: UUID) -> Any:
        """Execute once more what was executed, with the same input and version or with others, and wait for its end, or
        not: as in `execute`.
        """
        changed = _terms(body) | ({"input": _input(body)} if "input" in body else {})
        return _execute(service.replay(platform(), caller(), execution_id, **changed))


@blueprint.route("/functions/<id:function_id>/versions/<number:number>/verify")
class Verify(MethodView):
    """The act of verifying. It is here because whoever waits for a worker waits here."""

    @rule(Scope.FUNCTIONS_WRITE, action="version.verify")
    @blueprint.response(200, VersionRead)
    @blueprint.alt_response(202, schema=VersionRead, description=_ACCEPTED)
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


def _execute(submission: Submission) -> Any:
    """Accept it and answer as the caller prefers."""
    wanted = preference(request.headers.get("Prefer"), longest_seconds=platform().settings.sync_wait_seconds)
    if wanted.wait_seconds > 0:
        execution = service.submit_and_wait(platform(), caller(), waiters(), submission, seconds=wanted.wait_seconds)
    else:
        execution = service.submit(platform(), caller(), submission)
    headers = {"Preference-Applied": wanted.applied} if wanted.applied else {}
    headers |= rate_headers(execution.standings)
    # Who does not wait is answered in the same way each time that the same request comes, also when it has ended.
    if execution.is_final and wanted.wait_seconds > 0:
        return jsonify(as_read(execution)), 200, headers
    location = url_for("executions.OneExecution", execution_id=execution.id)
    headers |= {"Location": location, "Retry-After": str(RETRY_AFTER_SECONDS)}
    return jsonify(as_read(execution)), 202, headers


def _input(body: dict[str, Any]) -> str:
    return body["input"] or "null"


def _terms(body: dict[str, Any]) -> dict[str, Any]:
    """What a request wants beside its inputs."""
    seconds, not_before = body["max_age_seconds"], body["not_before"]
    if not_before is not None and not_before > datetime.now(UTC) + LONGEST_AHEAD:
        raise Problem("schedule_refused", f"An execution begins at most {LONGEST_AHEAD.days} days from now.")
    terms: dict[str, Any] = {
        "not_before": not_before,
        "max_age": None if seconds is None else timedelta(seconds=seconds),
        "correlation_id": correlation_id(),
        "key": _key(),
    }
    if "priority" in body:
        terms["priority"] = body["priority"]
    version: dict[str, Any] = body.get("version", {})
    return terms | version


def _key() -> Key | None:
    """The caller's name for this request, with a digest of all that it asks for."""
    text = request.headers.get("Idempotency-Key")
    if text is None:
        return None
    if not _KEY.fullmatch(text):
        raise Problem("bad_request", f"An Idempotency-Key has 1 to {_LONGEST_KEY} printable characters of ASCII.")
    return Key(text, sha256(request.path.encode() + b"\n" + request.get_data()).digest())


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
