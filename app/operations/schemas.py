"""Queues and messages on the wire."""

from marshmallow import fields

from app.http.wire import Time, WireSchema


class QueueRead(WireSchema):
    """A queue."""

    name = fields.String(required=True)
    ready = fields.Integer(required=True)
    delayed = fields.Integer(required=True)
    leased = fields.Integer(required=True)
    dead = fields.Integer(required=True)
    oldest_age_seconds = fields.Float(required=True, allow_none=True)
    in_per_minute = fields.Integer(required=True)
    out_per_minute = fields.Integer(required=True)
    consumers = fields.Integer(required=True)


class QueuePage(WireSchema):
    """The queues."""

    items = fields.List(fields.Nested(QueueRead), required=True)
    next_cursor = fields.String(required=True, allow_none=True)


class MessageRead(WireSchema):
    """A message."""

    id = fields.Integer(required=True)
    queue = fields.String(required=True)
    state = fields.String(required=True)
    priority = fields.Integer(required=True)
    task = fields.String(required=True, allow_none=True)
    function_id = fields.UUID(required=True, allow_none=True)
    execution_id = fields.UUID(required=True, allow_none=True)
    correlation_id = fields.String(required=True, allow_none=True)
    attempts = fields.Integer(required=True, attribute="deliveries")
    losses = fields.Integer(required=True)
    holder = fields.String(required=True, allow_none=True)
    enqueued_at = Time(required=True)
    age_seconds = fields.Float(required=True)
    leased_until = Time(required=True, allow_none=True)


class MessagePage(WireSchema):
    """A page of messages."""

    items = fields.List(fields.Nested(MessageRead), required=True)
    next_cursor = fields.String(required=True, allow_none=True)
