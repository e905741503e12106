"""What operators look for. Plain Python."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which kept events; what is None does not matter."""

    type: str | None = None
    """A pattern of SQL's LIKE."""
    worker: str | None = None
    task_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class LetterFilter:
    """Which dead letters; what is None does not matter."""

    queue: str | None = None
    reason: str | None = None
    function_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Redriven:
    """How many dead letters were redriven; where a limit ended that, when the others had better be asked for."""

    count: int
    retry_after_seconds: int | None = None


class UnknownLetter(Exception):
    """There is no such dead letter."""


class JailStatus(StrEnum):
    """Whether the jails of all compile workers hold what they must."""

    SOUND = "sound"
    UNSOUND = "unsound"
    UNKNOWN = "unknown"
    """No compile worker has said anything of it lately."""


@dataclass(frozen=True, slots=True)
class Jail:
    """What compile workers found when they tried their jails, taken together, with the reasons of those that distrust
    theirs.
    """

    status: JailStatus
    reasons: tuple[str, ...] = ()


def jail_of(workers: Mapping[str, str | None]) -> Jail:
    """One jail with a hole is a hole, however sound the others are."""
    reasons = tuple(f"{worker}: {reason}" for worker, reason in workers.items() if reason is not None)
    if reasons:
        return Jail(JailStatus.UNSOUND, reasons)
    return Jail(JailStatus.SOUND if workers else JailStatus.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Condition:
    """What an installation lacks to serve, in words, and its jails, which take nothing away from what is compiled."""

    missing: tuple[str, ...]
    jail: Jail
