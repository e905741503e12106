"""Audit events on the wire."""

from dataclasses import asdict
from typing import Any

from marshmallow import fields, validate

from app.audit.domain import Event, Outcome, Via
from app.http.cursors import PageQuery
from app.http.wire import NO_NUL, Time, WireSchema, page_of

_LONGEST = 300


def _text(description: str) -> fields.String:
    return fields.String(
        load_default=None,
        validate=[validate.Length(max=_LONGEST), validate.Regexp(NO_NUL)],
        metadata={"description": description, "pattern": NO_NUL},
    )


class AuditQuery(PageQuery):
    """Which events."""

    actor = _text("A user's id, or their e-mail address at that time.")
    action = _text("Such as `user.update`; with a `*` at its end all that begin so.")
    resource = _text("The id of what was acted on.")
    outcome = fields.Enum(Outcome, by_value=True, load_default=None)
    since = Time(load_default=None, data_key="from", metadata={"description": "At this time or later."})
    until = Time(load_default=None, data_key="to", metadata={"description": "Before this time."})


class AuditEventRead(WireSchema):
    """Who did what to what, from where, or was refused it."""

    id = fields.UUID(required=True)
    at = Time(required=True)
    actor_id = fields.UUID(required=True, allow_none=True)
    actor = fields.String(required=True, metadata={"description": "E-mail address at that time; empty for strangers."})
    via = fields.Enum(Via, by_value=True, required=True)
    credential_id = fields.UUID(required=True, allow_none=True, metadata={"description": "Session or API key."})
    address = fields.String(required=True, allow_none=True)
    correlation_id = fields.String(required=True, allow_none=True)
    action = fields.String(required=True)
    resource_id = fields.String(required=True, allow_none=True)
    outcome = fields.Enum(Outcome, by_value=True, required=True)
    before = fields.Dict(required=True, allow_none=True, metadata={"description": "What was changed, as it was."})
    after = fields.Dict(required=True, allow_none=True, metadata={"description": "The same as it is since."})


AuditEventPage = page_of(AuditEventRead, "AuditEventPage")


def as_event(event: Event) -> dict[str, Any]:
    """The members of an event on the wire."""
    return asdict(event)
