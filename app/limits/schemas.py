"""Limits on the wire."""

from marshmallow import fields

from app.http.wire import WireSchema
from app.limits.domain import Scope


class LimitQuery(WireSchema):
    """Whose limits."""

    function_id = fields.UUID(metadata={"description": "Those of a function, beside the caller's."})


class LimitRead(WireSchema):
    """A limit."""

    name = fields.String(required=True)
    value = fields.Integer(required=True, allow_none=True, metadata={"description": "Null: there is none."})
    used = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "Null: nothing is counted. Of a rate, the turns of its burst that are taken."},
    )
    scope = fields.Enum(Scope, by_value=True, required=True)


class LimitList(WireSchema):
    """All of them."""

    items = fields.List(fields.Nested(LimitRead), required=True)
