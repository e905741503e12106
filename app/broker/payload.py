"""A message as it is stored: kombu's, as JSON that people can read."""

import json
from collections.abc import Mapping
from typing import Any


def stored(message: Mapping[str, Any]) -> str:
    """A message as the database takes it. Half of a surrogate pair, which is no character, is stored as its escape."""
    return json.dumps(message, ensure_ascii=False).encode(errors="backslashreplace").decode()


def read(text: str) -> dict[str, Any] | None:
    """The message; none where it cannot be one, or is nested deeper than Python reads."""
    try:
        payload = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return payload if _is_message(payload) else None


def schema(payload: Mapping[str, Any]) -> int:
    """The version that the sender gave its message; none is the first."""
    number = (payload.get("headers") or {}).get("schema", 1)
    return number if isinstance(number, int) else 1


def _is_message(payload: Any) -> bool:
    return (
        isinstance(payload, dict)
        and isinstance(payload.get("properties"), dict)
        and isinstance(payload["properties"].get("delivery_info"), dict)
        and isinstance(payload.get("headers") or {}, dict)
        and isinstance(payload.get("body"), str)
    )
