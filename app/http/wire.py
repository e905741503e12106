"""How objects look on the wire: camelCase names, UTC times with Z, unknown members refused."""

import re
from datetime import UTC, datetime
from typing import Any

from marshmallow import RAISE, Schema, ValidationError, fields, validate

_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")

_BEGINNING, _END = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)

#: Text that PostgreSQL can hold, as a pattern of JSON Schema.
NO_NUL = "^[^\\u0000]*$"


class WireSchema(Schema):
    """A schema whose Python names become camelCase."""

    class Meta:
        """What is not in the schema is refused, never ignored."""

        unknown = RAISE

    def on_bind_field(self, field_name: str, field_obj: fields.Field[Any]) -> None:
        """Derive the name on the wire."""
        head, *rest = field_name.split("_")
        field_obj.data_key = field_obj.data_key or head + "".join(part.capitalize() for part in rest)


class Count(WireSchema):
    """How many there were."""

    count = fields.Integer(required=True)


def page_of(item: type[Schema], name: str) -> type[Schema]:
    """The schema of a page of these, by its name in the document; the cursor is null where no page follows."""
    members: dict[str, fields.Field[Any]] = {
        "items": fields.List(fields.Nested(item), required=True),
        "next_cursor": fields.String(required=True, allow_none=True),
    }
    return WireSchema.from_dict(members, name=name)


class Time(fields.AwareDateTime):
    """RFC 3339: answered in UTC with Z and microseconds, read with any offset. What lies outside of time is its end."""

    def _serialize(self, value: datetime | None, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        if value is None:
            return None
        return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> datetime:
        if not isinstance(value, str) or not _RFC_3339.fullmatch(value):
            raise self.make_error("invalid", input=value, obj_type="datetime")
        try:
            # A leap second is written as the sixtieth; Python's clocks have none.
            moment = datetime.fromisoformat(re.sub(r":60(?=[.Zz+-])", ":59", value).upper())
        except ValueError as error:
            raise self.make_error("invalid", input=value, obj_type="datetime") from error
        try:
            return moment.astimezone(UTC)
        except OverflowError:
            return _BEGINNING if moment.year == 1 else _END


class Milliseconds(fields.Float):
    """A duration, to the microsecond."""

    def _serialize(self, value: float | None, attr: str | None, obj: Any, **kwargs: Any) -> float | None:
        return None if value is None else round(value, 3)


class Plain(fields.String):
    """Text that PostgreSQL can hold: without U+0000 and without lone surrogates."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(metadata={"pattern": NO_NUL} | kwargs.pop("metadata", {}), **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        text: str = super()._deserialize(value, attr, data, **kwargs)
        if "\0" in text:
            raise ValidationError("The character U+0000 cannot be stored.")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValidationError("A lone surrogate is not a character.") from None
        return text


class Name(Plain):
    """What something is called in addresses and on command lines: a DNS label that may begin with a digit."""

    PATTERN = "[a-z0-9][a-z0-9-]{0,62}"

    def __init__(self, *, among: str, **kwargs: Any) -> None:
        error = "A name has 1 to 63 of a-z, 0-9 and -, and does not begin with -."
        described = {"description": f"Unique among {among}.", "pattern": f"^{self.PATTERN}$"}
        super().__init__(validate=validate.Regexp(f"^{self.PATTERN}\\Z", error=error), metadata=described, **kwargs)


class Switch(fields.Boolean):
    """`true` or `false`, and nothing that Python takes for them."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> bool:
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return value


class WholeNumber(fields.Integer):
    """A JSON number without a fraction; text and true are not numbers."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(strict=True, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        if isinstance(value, bool | str):
            raise self.make_error("invalid", input=value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        number: int = super()._deserialize(value, attr, data, **kwargs)
        return number
