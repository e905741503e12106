"""Executions on the wire."""

from typing import Any, ClassVar, Final

import orjson
from marshmallow import ValidationError, fields, validate, validates_schema

from app.executions.domain import LONGEST_AHEAD, MOST_INPUTS, MOST_REPLAYS, ErrorType, Execution, Priority, Status
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
            return {"version": self._number.deserialize(value), "alias": None}
        name = self._name.deserialize(value)
        return {"version": None, "alias": None if name == ACTIVE else name}


_VERSION = {
    "oneOf": [
        {"type": "integer", "minimum": 1, "maximum": 2**31 - 1},
        {"type": "string", "pattern": f"^{LABEL}$"},
    ],
    "description": "A version's number, or the name of an alias. Default: the active version.",
}


def _version() -> VersionChoice:
    return VersionChoice(load_default=dict, metadata=_VERSION)


class TermsSchema(WireSchema):
    """What is wanted of executions beside their inputs."""

    version = _version()
    priority = fields.Enum(
        Priority,
        by_value=True,
        load_default=Priority.NORMAL,
        metadata={"description": "Of equally urgent ones those that somebody waits for come first."},
    )
    not_before = Time(
        load_default=None,
        allow_none=True,
        metadata={"description": f"When it may begin at the earliest, at most {LONGEST_AHEAD.days} days from now."},
    )
    max_age_seconds = WholeNumber(
        load_default=None,
        allow_none=True,
        validate=validate.Range(1, LONGEST_AHEAD.total_seconds()),
        metadata={"description": "How long it may wait for a worker, counted from `notBefore`; then it is EXPIRED."},
    )


class ExecuteRequest(TermsSchema):
    """What to execute a function with."""

    input = JsonText(load_default="{}", allow_none=True, metadata={"default": {}})


class BatchRequest(TermsSchema):
    """What to execute a function with, many times."""

    inputs = JsonTexts(required=True, most=MOST_INPUTS)


class ReplayRequest(TermsSchema):
    """What is to be different this time."""

    input = JsonText(allow_none=True, metadata={"description": "Default: that of the original."})
    version = VersionChoice(metadata=_VERSION | {"description": "Default: that of the original."})
    priority = fields.Enum(Priority, by_value=True, metadata={"description": "Default: that of the original."})


class BatchAccepted(WireSchema):
    """What was accepted."""

    execution_ids = fields.List(fields.UUID(), required=True, metadata={"description": "In the order of the inputs."})


class ProgressRead(WireSchema):
    """How far the latest attempt has come, as the function says."""

    percent = fields.Float(required=True, validate=validate.Range(0, 100))
    message = fields.String(required=True, allow_none=True)
    at = Time(required=True)


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
    priority = fields.Enum(Priority, by_value=True, required=True)
    not_before = Time(required=True, allow_none=True)
    expires_at = Time(required=True, allow_none=True)
    trigger = fields.String(required=True)
    caller_id = fields.UUID(required=True, allow_none=True, metadata={"description": "The user who asked for it."})
    correlation_id = fields.String(required=True)
    replay_of = fields.UUID(required=True, allow_none=True)
    progress = fields.Nested(
        ProgressRead, required=True, allow_none=True, metadata={"description": "Null: the function has said nothing."}
    )
    created_at = Time(required=True)
    started_at = Time(required=True, allow_none=True)
    completed_at = Time(required=True, allow_none=True)


class ExecutionRead(ExecutionItem):
    """An execution."""

    input = JsonText(required=True, allow_none=True)
    output = JsonText(required=True, allow_none=True)
    logs = fields.String(required=True, allow_none=True)


class CancelledRead(ExecutionItem):
    """An execution that was cancelled; what was put into it and came of it for whoever may read executions."""

    input = JsonText(allow_none=True)
    output = JsonText(allow_none=True)
    logs = fields.String(allow_none=True)
    progress = fields.Nested(ProgressRead, allow_none=True)


class AttemptRead(WireSchema):
    """An attempt at an execution."""

    attempt = fields.Integer(required=True)
    status = fields.Enum(Status, by_value=True, required=True)
    error_type = fields.String(required=True, allow_none=True, validate=validate.OneOf([None, *ErrorType]))
    error_message = fields.String(required=True, allow_none=True)
    error_location = fields.String(required=True, allow_none=True)
    duration_ms = Milliseconds(required=True, allow_none=True)
    worker = fields.String(required=True, allow_none=True, metadata={"description": "Which consumer claimed it."})
    started_at = Time(required=True)
    completed_at = Time(required=True, allow_none=True)


AttemptPage = page_of(AttemptRead, "AttemptPage")


class LogsRead(WireSchema):
    """What an execution printed."""

    execution_id = fields.UUID(required=True)
    logs = fields.String(required=True, allow_none=True, metadata={"description": "The tail; null before its end."})


ExecutionPage = page_of(ExecutionItem, "ExecutionPage")


class ExecutionQuery(PageQuery, WireSchema):
    """Filters of a list of executions."""

    status = fields.Enum(Status, by_value=True, load_default=None)
    error_type = fields.Enum(ErrorType, by_value=True, load_default=None)
    version = fields.Integer(load_default=None, validate=validate.Range(1, 2**31 - 1))
    correlation_id = Plain(load_default=None)
    since = Time(load_default=None, data_key="from", metadata={"description": "Accepted at or after."})
    until = Time(load_default=None, data_key="to", metadata={"description": "Accepted before."})


class FilterSchema(WireSchema):
    """Which executions are meant; every member narrows it."""

    function_id = fields.UUID()
    status = fields.Enum(Status, by_value=True)
    error_type = fields.Enum(ErrorType, by_value=True)
    version = WholeNumber(validate=validate.Range(1, 2**31 - 1))
    correlation_id = Plain()
    since = Time(data_key="from", metadata={"description": "Accepted at or after."})
    until = Time(data_key="to", metadata={"description": "Accepted before."})

    class Meta(WireSchema.Meta):
        """All executions that there are is not what anybody means."""

        openapi: ClassVar = {"minProperties": 1}

    @validates_schema
    def check_members(self, data: dict[str, Any], **_more: Any) -> None:
        """Raises where nothing is narrowed."""
        if not data:
            raise ValidationError("It has one member at least.")


class BulkCancelRequest(WireSchema):
    """What to cancel."""

    filter = fields.Nested(FilterSchema, required=True)


class ActiveOrNumber(fields.Field[Any]):
    """A version's number, or `active`."""

    _number = WholeNumber(validate=validate.Range(1, 2**31 - 1))

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        return value if value == ACTIVE else self._number.deserialize(value)


class BulkReplayRequest(WireSchema):
    """What to execute once more, and how."""

    filter = fields.Nested(FilterSchema, required=True)
    limit = WholeNumber(load_default=1000, validate=validate.Range(1, MOST_REPLAYS))
    version = ActiveOrNumber(
        load_default=None,
        allow_none=True,
        metadata={
            "oneOf": [{"type": "integer", "minimum": 1, "maximum": 2**31 - 1}, {"const": ACTIVE}, {"type": "null"}],
            "description": "Default: that of each original.",
        },
    )
    priority = fields.Enum(Priority, by_value=True, load_default=Priority.NORMAL)


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
        "priority": execution.priority,
        "notBefore": execution.not_before,
        "expiresAt": execution.expires_at,
        "trigger": execution.trigger,
        "callerId": execution.caller_id,
        "correlationId": execution.correlation_id,
        "replayOf": execution.replay_of,
        "progress": execution.progress,
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


#: What was put into an execution, and what its function said.
_CONTENTS: Final = frozenset({"input", "output", "logs", "progress"})


def as_cancelled(execution: Execution, *, is_readable: bool) -> dict[str, Any]:
    """The members of an execution for whoever cancelled it, who may read executions or not."""
    members = as_read(execution)
    return members if is_readable else {name: members[name] for name in members if name not in _CONTENTS}


def _rounded(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds, 3)


def _embedded(text: str | None) -> orjson.Fragment | None:
    return None if text is None else orjson.Fragment(text)
