"""Queues and messages on the wire."""

from marshmallow import fields, validate

from app.http.bodies import JsonText
from app.http.cursors import PageQuery
from app.http.wire import Plain, Time, WireSchema, page_of


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


QueuePage = page_of(QueueRead, "QueuePage")


class WorkerRead(WireSchema):
    """A worker."""

    name = fields.String(required=True)
    online = fields.Boolean(required=True)
    queues = fields.List(fields.String(), required=True)
    started_at = Time(required=True, allow_none=True)
    seen_at = Time(required=True)
    leased = fields.Integer(required=True, metadata={"description": "Messages in its hands."})
    active = fields.Integer(required=True, allow_none=True, metadata={"description": "Tasks it said it runs."})
    processed = fields.Integer(required=True, allow_none=True)
    pid = fields.Integer(required=True, allow_none=True)
    celery_version = fields.String(required=True, allow_none=True)


WorkerPage = page_of(WorkerRead, "WorkerPage")


class EventQuery(PageQuery, WireSchema):
    """Which events."""

    type = Plain(
        validate=validate.Regexp(r"^[a-z]+(-[a-z]+)*(-\*)?\Z", error="A type is like task-failed or task-*."),
        metadata={
            "description": "One type, or all that begin alike: `task-failed`, `task-*`.",
            "pattern": r"^[a-z]+(-[a-z]+)*(-\*)?$",
        },
    )
    worker = Plain()
    task_id = Plain(metadata={"description": "An execution's id for what happened to it."})
    since = Time(data_key="from")
    until = Time(data_key="to")


class EventRead(WireSchema):
    """Something that happened to a worker or a task."""

    id = fields.Integer(required=True)
    at = Time(required=True, attribute="kept_at", metadata={"description": "When it was kept."})
    type = fields.String(required=True)
    worker = fields.String(required=True, allow_none=True)
    task_id = fields.String(required=True, allow_none=True)
    event = JsonText(required=True, metadata={"allOf": [{"type": "object"}], "description": "As Celery sent it."})


EventPage = page_of(EventRead, "EventPage")


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


class LetterItem(WireSchema):
    """A dead letter in a list."""

    id = fields.Integer(required=True)
    queue = fields.String(required=True)
    reason = fields.String(required=True, metadata={"description": "`worker_lost`, `requeued`, `undecodable`, …"})
    task = fields.String(required=True, allow_none=True)
    function_id = fields.UUID(required=True, allow_none=True)
    execution_id = fields.UUID(required=True, allow_none=True)
    correlation_id = fields.String(required=True, allow_none=True)
    priority = fields.Integer(required=True)
    attempts = fields.Integer(required=True, attribute="deliveries")
    losses = fields.Integer(required=True)
    requeues = fields.Integer(required=True)
    enqueued_at = Time(required=True)
    died_at = Time(required=True)


class LetterRead(LetterItem):
    """A dead letter."""

    payload = fields.String(required=True, metadata={"description": "The message as it was kept, JSON text."})


LetterPage = page_of(LetterItem, "LetterPage")


class LetterQuery(WireSchema):
    """Which dead letters; every member narrows it."""

    queue = Plain()
    reason = Plain()
    function_id = fields.UUID()


class LetterPageQuery(PageQuery, LetterQuery):
    """A page of them."""


class RedriveRequest(WireSchema):
    """Which dead letters to redrive."""

    filter = fields.Nested(LetterQuery, load_default=dict)


MessagePage = page_of(MessageRead, "MessagePage")
