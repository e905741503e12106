"""Executions on the wire."""

from typing import Any

import orjson
from marshmallow import fields, validate

from app.executions.domain import MOST_INPUTS, ErrorType, Execution, Status
from app.functions.domain import ACTIVE
from app.http.blueprints import LABEL
from app.http.bodies import JsonText, JsonTexts
from app.http.cursors import PageQuery
from app.http.wire import Milliseconds, Plain, Time, WholeNumber, WireSchema, page_of


class VersionChoice(fields.Field[dict[str, Any]]):
    """A version's number, or the name of an alias; loaded as what a submission says of it."""

    _number = WholeNumber(validate=validate.Range(1, 2**31 - 1))
    _name = fields.String(validate=validate.Regexp(f"{LABEL}\\Z", error="Not a name that an alias can have."))

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> dict[str, Any]:
        if not isinstance(value, str):
            return {"version": self._number.deserialize(value)}
        name = self._name.deserialize(value)
        return {} if name == ACTIVE else {"alias": name}


def _version() -> VersionChoice:
    described = {
        "oneOf": [
            {"type": "integer", "minimum": 1, "maximum": 2**31 - 1},
            {"type": "string", "pattern": f"^{LABEL}$"},
        ],
        "description": "A version's number, or the name of an alias. Default: the active version.",
    }
    return VersionChoice(load_default=dict, metadata=described)


class ExecuteRequest(WireSchema):
    """What to execute a function with."""

    input = JsonText(load_default="{}", allow_none=True, metadata={"default": {}})
    version = _version()


class BatchRequest(WireSchema):
    """What to execute a function with, many times."""

    inputs = JsonTexts(required=True, most=MOST_INPUTS)
    version = _version()


class BatchAccepted(WireSchema):
    """What was accepted."""

    execution_ids = fields.List(fields.UUID(), required=True, metadata={"description": "In the order of the inputs."})


class ExecutionItem(WireSchema):
    """An execution in a list."""

    id = fields.UUID(required=True)
    function_id = fields.UUID(required=True)
    version = fields.Integer(required=True)
    status = fields.Enum(Status, by_value=True, required=True)
    error_type = fields.String(required=True, allow_none=True, validate=validate.OneOf([None, *ErrorType]))
    error_message = fields.String(required=True, allow_none=True)
    error_location = fields.String(required=True, allow_none=True)
    duration_ms = Milliseconds(required=True, allow_none=True)
    queue_ms = Milliseconds(required=True, allow_none=True)
    fuel_used = fields.Integer(
        required=True, allow_none=True, metadata={"description": "Null: this server does not count instructions."}
    )
    memory_peak_bytes = fields.Integer(required=True, allow_none=True)
    environment_revision = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "Of the environment that it was given; null without one."},
    )
    attempts = fields.Integer(required=True)
    trigger = fields.String(required=True)
    correlation_id = fields.String(required=True)
    replay_of = fields.UUID(required=True, allow_none=True)
    created_at = Time(required=True)
    started_at = Time(required=True, allow_none=True)
    completed_at = Time(required=True, allow_none=True)


class ExecutionRead(ExecutionItem):
    """An execution."""

    input = JsonText(required=True, allow_none=True)
    output = JsonText(required=True, allow_none=True)
    logs = fields.String(required=True, allow_none=True)


ExecutionPage = page_of(ExecutionItem, "ExecutionPage")


class ExecutionQuery(PageQuery, WireSchema):
    """Filters of a list of executions."""

    status = fields.Enum(Status, by_value=True, load_default=None)
    error_type = fields.Enum(ErrorType, by_value=True, load_default=None)
    version = fields.Integer(load_default=None, validate=validate.Range(1, 2**31 - 1))
    correlation_id = Plain(load_default=None)
    since = Time(load_default=None, data_key="from", metadata={"description": "Accepted at or after."})
    until = Time(load_default=None, data_key="to", metadata={"description": "Accepted before."})


class WaitQuery(WireSchema):
    """How long a read may wait for the end."""

    wait = fields.Integer(
        load_default=0, validate=validate.Range(0, 300), metadata={"description": "Seconds to wait for the end."}
    )


def as_item(execution: Execution) -> dict[str, Any]:
    """The members of an execution in a list. Written out, because marshmallow takes a third of a millisecond for it."""
    return {
        "id": execution.id,
        "functionId": execution.function_id,
        "version": execution.version,
        "status": execution.status,
        "errorType": execution.error_type,
        "errorMessage": execution.error_message,
        "errorLocation": execution.error_location,
        "durationMs": _rounded(execution.duration_ms),
        "queueMs": _rounded(execution.queue_ms),
        "fuelUsed": execution.fuel_used,
        "memoryPeakBytes": execution.memory_peak_bytes,
        "environmentRevision": execution.environment_revision,
        "attempts": execution.attempts,
        "trigger": execution.trigger,
        "correlationId": execution.correlation_id,
        "replayOf": execution.replay_of,
        "createdAt": execution.created_at,
        "startedAt": execution.started_at,
        "completedAt": execution.completed_at,
    }


def as_read(execution: Execution) -> dict[str, Any]:
    """The members of an execution; input and output are embedded as they are stored."""
    return as_item(execution) | {
        "input": _embedded(execution.input),
        "output": _embedded(execution.output),
        "logs": execution.logs,
    }


def _rounded(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds, 3)


def _embedded(text: str | None) -> orjson.Fragment | None:
    return None if text is None else orjson.Fragment(text)
