"""Executions on the wire."""

from marshmallow import fields, validate

from app.executions.domain import ErrorType, Status
from app.http.bodies import JsonText
from app.http.cursors import PageQuery
from app.http.wire import Milliseconds, Plain, Time, WholeNumber, WireSchema


class ExecuteRequest(WireSchema):
    """What to execute a function with."""

    input = JsonText(load_default="{}", allow_none=True, metadata={"default": {}})
    version = WholeNumber(
        load_default=None,
        validate=validate.Range(1, 2**31 - 1),
        metadata={"description": "Default: the active version."},
    )


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
    fuel_used = fields.Integer(required=True, allow_none=True)
    memory_peak_bytes = fields.Integer(required=True, allow_none=True)
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


class ExecutionPage(WireSchema):
    """A page of executions."""

    items = fields.List(fields.Nested(ExecutionItem), required=True)
    next_cursor = fields.String(required=True, allow_none=True)


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
