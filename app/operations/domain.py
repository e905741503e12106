"""What operators look for. Plain Python."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which kept events; what is None does not matter."""

    type: str | None = None
    """A pattern of SQL's LIKE."""
    worker: str | None = None
    task_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
