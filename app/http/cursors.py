"""Lists: `?limit=&cursor=` in, `{"items", "nextCursor"}` out. A cursor is opaque: it names the last id shown."""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from marshmallow import Schema, fields, validate

from app.http.problems import Problem

DEFAULT_LIMIT, MAX_LIMIT = 50, 200

_VERSION = b"\x01"

_LARGEST_ID = 2**63 - 1

#: What a cursor looks like: 17 bytes, the first of them the version, in base64 without padding.
PATTERN = "^A[Q-Za-f][A-Za-z0-9_-]{20}[AEIMQUYcgkosw048]$"


def encode(last: UUID) -> str:
    """The cursor that continues after this id."""
    return base64.urlsafe_b64encode(_VERSION + last.bytes).decode().rstrip("=")


def decode(cursor: str) -> UUID:
    """The id after which to continue; raises the problem `malformed_cursor`."""
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != 17 or raw[:1] != _VERSION or encode(UUID(bytes=raw[1:])) != cursor:
        raise Problem("malformed_cursor", "Use the nextCursor of the page before as it is.")
    return UUID(bytes=raw[1:])


def number_of(cursor: UUID | None) -> int | None:
    """The place that a cursor stands for where ids are numbers; one that was tampered with is the end."""
    return None if cursor is None else min(cursor.int, _LARGEST_ID)


class PageQuery(Schema):
    """Query parameters of a list."""

    limit = fields.Integer(
        load_default=DEFAULT_LIMIT, validate=validate.Range(1, MAX_LIMIT), metadata={"description": "Items of a page."}
    )
    cursor = fields.String(
        load_default=None, metadata={"description": "`nextCursor` of the page before.", "pattern": PATTERN}
    )


def paged(
    fetch: Callable[[UUID | None, int], Sequence[Any]], query: dict[str, Any], id_of: Callable[[Any], UUID]
) -> dict[str, Any]:
    """One page: `fetch(before, limit)` is asked for one item more than is shown, which tells whether there is another
    page.
    """
    before = None if query["cursor"] is None else decode(query["cursor"])
    items = list(fetch(before, query["limit"] + 1))
    shown = items[: query["limit"]]
    return {"items": shown, "next_cursor": encode(id_of(shown[-1])) if len(items) > len(shown) else None}
