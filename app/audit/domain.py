"""Who acts, and what an act was."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID


class Via(StrEnum):
    """How an actor came in."""

    SESSION = "SESSION"
    API_KEY = "API_KEY"
    SYSTEM = "SYSTEM"
    """A program of ours on this installation's machines: the first start, a command line."""
    NOTHING = "NOTHING"
    """Nobody has said who it is, or what was said is not true."""


class Outcome(StrEnum):
    """Whether it was done."""

    DONE = "DONE"
    REFUSED = "REFUSED"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: a user, by a session or a key of theirs, from an address; nobody's id is nobody."""

    user_id: UUID | None = None
    name: str = ""
    """What the actor is called by people: the e-mail address at that time."""
    via: Via = Via.NOTHING
    credential_id: UUID | None = None
    address: str | None = None
    correlation_id: str | None = None


@dataclass(frozen=True, slots=True)
class Act:
    """What is done or refused: a verb on a kind of thing, such as `user.update`, and the thing. `before` and `after`
    have the members that it changes, and never a secret.
    """

    action: str
    resource_id: UUID | str | None = None
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    outcome: Outcome = Outcome.DONE


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events are asked for: all of those conditions that are not None."""

    actor: str | None = None
    action: str | None = None
    resource: str | None = None
    outcome: Outcome | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """What was written of an act."""

    id: UUID
    at: datetime
    actor_id: UUID | None
    actor: str
    via: Via
    credential_id: UUID | None
    address: str | None
    correlation_id: str | None
    action: str
    resource_id: str | None
    outcome: Outcome
    before: Any
    after: Any
