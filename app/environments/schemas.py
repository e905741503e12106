"""Environments on the wire."""

from typing import Any

from marshmallow import fields, validate

from app.accounts.schemas import allowed
from app.environments.domain import KEY, LARGEST_VALUE_BYTES, MOST_ENTRIES, Changes, Secret, Wish
from app.environments.service import Shown
from app.http.wire import Name, Plain, Switch, Time, WireSchema, page_of

_KEY_ERROR = "A key has 1 to 128 letters of ASCII, digits and _, and does not begin with a digit."


class Hidden(Plain):
    """Text that nothing prints once it was read."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        text = super()._deserialize(value, attr, data, **kwargs)
        validate.Length(max=LARGEST_VALUE_BYTES)(text)
        return Secret(text)


def _key(**kwargs: Any) -> Plain:
    return Plain(
        validate=validate.Regexp(f"^{KEY.pattern}\\Z", error=_KEY_ERROR),
        metadata={"pattern": f"^{KEY.pattern}$"},
        **kwargs,
    )


class EntryWrite(WireSchema):
    """What a variable or secret is to be."""

    key = _key(required=True)
    value = Hidden(
        metadata={
            "maxLength": LARGEST_VALUE_BYTES,
            "description": f"At most {LARGEST_VALUE_BYTES} bytes. A secret that is there keeps its own where this is "
            "left out.",
        }
    )
    secret = Switch(
        metadata={"description": "Whether functions alone are given it. Left out: as it was, and not where it is new."},
    )


def _entries() -> fields.Field[Any]:
    return fields.List(fields.Nested(EntryWrite), validate=validate.Length(max=MOST_ENTRIES))


class EnvironmentWrite(WireSchema):
    """What may be changed of an environment; what is left out stays. Entries are the whole list."""

    name = Name(among="environments")
    description = Plain(validate=validate.Length(max=2000))
    entries = _entries()
    allowed_users = allowed("users")
    allowed_groups = allowed("groups")


class EnvironmentCreate(EnvironmentWrite):
    """An environment to be."""

    name = Name(among="environments", required=True)


class EntriesPatch(WireSchema):
    """What of the entries is to change; all others stay."""

    set = _entries()
    remove = fields.List(_key(), validate=validate.Length(max=MOST_ENTRIES))


class EntryItem(WireSchema):
    """What a list shows of an entry."""

    key = fields.String(required=True)
    secret = fields.Boolean(required=True)


class EntryRead(EntryItem):
    """An entry."""

    value = fields.String(metadata={"description": "Not there with secrets."})


class EnvironmentItem(WireSchema):
    """An environment in a list, without values."""

    id = fields.UUID(required=True)
    name = fields.String(required=True)
    description = fields.String(required=True)
    revision = fields.Integer(
        required=True, metadata={"description": "Grows with every change of an entry; executions record it."}
    )
    entries = fields.List(fields.Nested(EntryItem), required=True)
    allowed_users = fields.List(fields.UUID(), required=True)
    allowed_groups = fields.List(fields.UUID(), required=True)
    created_at = Time(required=True)
    updated_at = Time(required=True)


class EnvironmentRead(EnvironmentItem):
    """An environment."""

    entries = fields.List(fields.Nested(EntryRead), required=True)


EnvironmentPage = page_of(EnvironmentItem, "EnvironmentPage")


def wishes(entries: list[dict[str, Any]], *, pointer: str) -> list[Wish]:
    """What entries are to be, each with its place in the request."""
    return [
        Wish(one["key"], f"{pointer}/{place}", one.get("value"), one.get("secret")) for place, one in enumerate(entries)
    ]


def whole(body: dict[str, Any]) -> Changes | None:
    """The changes of a body that brings all entries, or says nothing of them."""
    return Changes(wishes(body["entries"], pointer="/entries"), are_whole=True) if "entries" in body else None


def some(body: dict[str, Any]) -> Changes:
    """The changes of a body that brings some."""
    return Changes(wishes(body.get("set", []), pointer="/set"), frozenset(body.get("remove", [])))


def as_read(shown: Shown) -> dict[str, Any]:
    """The members of an environment on the wire."""
    names = ("id", "name", "description", "revision", "allowed_users", "allowed_groups", "created_at", "updated_at")
    entries = [
        {"key": key, "secret": is_secret} | ({} if value is None else {"value": value})
        for key, is_secret, value in shown.entries
    ]
    return {name: getattr(shown.environment, name) for name in names} | {"entries": entries}
