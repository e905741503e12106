"""Ids: UUID version 7 (RFC 9562), which sort by the time they were made."""

from uuid import UUID

import uuid_utils


def new_id() -> UUID:
    """A fresh id."""
    return UUID(int=uuid_utils.uuid7().int)


def parse_id(value: str) -> UUID | None:
    """The id that a path names, in its canonical form; none when it is not one."""
    try:
        parsed = UUID(value)
    except ValueError:
        return None
    return parsed if str(parsed) == value.lower() else None
