"""States of an execution and what may be wrong with it. Plain Python."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NewType
from uuid import UUID

from app.limits.domain import Standing

ExecutionId = NewType("ExecutionId", UUID)

#: Inputs that one request may bring.
MOST_INPUTS = 1000

#: Executions that one request may have executed once more.
MOST_REPLAYS = 10_000

#: How far away an execution may be scheduled, and how long it may wait then.
LONGEST_AHEAD = timedelta(days=366)

#: Deliveries after which a failure of the platform itself ends the execution as INFRASTRUCTURE.
MAX_DELIVERIES = 5


class Status(StrEnum):
    """The life of an execution."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


#: A lost worker's execution begins again as its next attempt, so RUNNING may follow itself. What a child took along and
#: gave back was not attempted, and is PENDING again.
TRANSITIONS: dict[Status, frozenset[Status]] = {
    Status.PENDING: frozenset({Status.RUNNING, Status.FAILED, Status.CANCELLED}),
    Status.RUNNING: frozenset({Status.PENDING, Status.RUNNING, Status.COMPLETED, Status.FAILED, Status.CANCELLED}),
    Status.COMPLETED: frozenset(),
    Status.FAILED: frozenset(),
    Status.CANCELLED: frozenset(),
}

FINAL = frozenset(status for status, following in TRANSITIONS.items() if not following)


class ErrorType(StrEnum):
    """Why an execution failed. The last three are the platform's doing, the others the function's."""

    FUNCTION_ERROR = "FUNCTION_ERROR"
    TRAP = "TRAP"
    TIMEOUT = "TIMEOUT"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    STACK_OVERFLOW = "STACK_OVERFLOW"
    INVALID_OUTPUT = "INVALID_OUTPUT"
    OUTPUT_TOO_LARGE = "OUTPUT_TOO_LARGE"
    EXPIRED = "EXPIRED"
    WORKER_LOST = "WORKER_LOST"
    INFRASTRUCTURE = "INFRASTRUCTURE"


class Trigger(StrEnum):
    """What asked for an execution."""

    API = "API"
    REPLAY = "REPLAY"


class Priority(StrEnum):
    """How urgent an execution is. Of equally urgent ones those that somebody waits for come first."""

    HIGH = "HIGH"
    NORMAL = "NORMAL"
    LOW = "LOW"


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution as it is read. `input` and `output` are JSON text exactly as the caller and the function wrote it;
    lists leave them out.
    """

    id: UUID
    function_id: UUID
    version: int
    status: Status
    attempts: int
    trigger: str
    correlation_id: str
    created_at: datetime
    input: str | None = None
    output: str | None = None
    error_type: str | None = None
    error_message: str | None = None
    error_location: str | None = None
    logs: str | None = None
    duration_ms: float | None = None
    fuel_used: int | None = None
    memory_peak_bytes: int | None = None
    environment_revision: int | None = None
    caller_id: UUID | None = None
    priority: str = Priority.NORMAL
    not_before: datetime | None = None
    expires_at: datetime | None = None
    replay_of: UUID | None = None
    progress: Mapping[str, Any] | None = None
    """How far the latest attempt has come, as the function says: `percent`, `message`, and `at`, a time as text."""
    started_at: datetime | None = None
    completed_at: datetime | None = None
    standings: tuple[Standing, ...] = ()
    """Of the rates that its acceptance took turns of, just then."""

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.status in FINAL

    @property
    def queue_ms(self) -> float | None:
        """From acceptance to the claim of the latest attempt, by the database's clock."""
        return None if self.started_at is None else (self.started_at - self.created_at).total_seconds() * 1000


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at an execution, and what became of it."""

    attempt: int
    status: Status
    error_type: str | None
    error_message: str | None
    error_location: str | None
    duration_ms: float | None
    worker: str | None
    started_at: datetime
    completed_at: datetime | None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Attempt":
        """From what the database keeps of it, with times as text. Every attempt but the latest has failed."""
        times = {
            name: None if row[name] is None else datetime.fromisoformat(row[name])
            for name in ("started_at", "completed_at")
        }
        return cls(**{**row, **times, "status": Status(row.get("status", Status.FAILED))})


@dataclass(frozen=True, slots=True)
class Finish:
    """How an attempt ended."""

    status: Status
    output: str | None = None
    error_type: ErrorType | None = None
    error_message: str | None = None
    error_location: str | None = None
    logs: str = ""
    duration_ms: float | None = None
    fuel_used: int | None = None
    memory_peak_bytes: int | None = None
    environment_revision: int | None = None
    """Of the environment that it was given; the one of its beginning where this does not say."""

    @classmethod
    def by_platform(cls, error_type: ErrorType, message: str) -> "Finish":
        """Ended by us, not by the function."""
        return cls(Status.FAILED, error_type=error_type, error_message=message)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which executions a list holds; every field narrows it."""

    function_id: UUID | None = None
    status: str | None = None
    error_type: str | None = None
    version: int | None = None
    correlation_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Replays:
    """Which executions are to be executed once more, and how: by a version, the active one, or their own."""

    limit: int
    correlation_id: str
    wanted: Filter = Filter()
    version: int | None = None
    is_active: bool = False
    priority: Priority = Priority.NORMAL


@dataclass(frozen=True, slots=True)
class Key:
    """A name that a caller gave a request, and the digest of what was asked, so that it is done once."""

    text: str
    digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a caller wants of executions beside their inputs. The version is given by its number, by an alias, or is the
    active one.
    """

    function_id: UUID
    correlation_id: str
    version: int | None = None
    alias: str | None = None
    priority: Priority = Priority.NORMAL
    not_before: datetime | None = None
    max_age: timedelta | None = None
    """How long it may wait for a worker, from its acceptance or from `not_before`."""
    trigger: Trigger = Trigger.API
    key: Key | None = None

    @property
    def is_timed(self) -> bool:
        """Whether time has a say in when it begins."""
        return self.not_before is not None or self.max_age is not None

    def __len__(self) -> int:
        """How many executions there are to be."""
        return 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission(Terms):
    """One execution to be. `input` is JSON text."""

    id: UUID
    input: str
    waiter: str | None = None
    replay_of: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch(Terms):
    """Many inputs for one function, for which nobody waits. `inputs` are JSON texts, each with its id."""

    ids: list[UUID]
    inputs: list[str]

    def __len__(self) -> int:
        """How many executions there are to be."""
        return len(self.ids)


class ExecutionError(Exception):
    """An execution cannot be made or found."""


class UnknownExecution(ExecutionError):
    """There is no such execution."""


class FunctionNotReady(ExecutionError):
    """The function has no version that can be executed."""

    def __init__(self, state: str) -> None:
        super().__init__(f"the function is {state}; it can be executed when it is READY")
        self.state = state


class UnknownVersion(ExecutionError):
    """The function has no such version that is READY, or no such alias."""

    def __init__(self, version: int | str) -> None:
        what = f"version {version} that is READY" if isinstance(version, int) else f"alias {version}"
        super().__init__(f"the function has no {what}")


class EndedAlready(ExecutionError):
    """It cannot be cancelled any more."""

    def __init__(self, state: str) -> None:
        super().__init__(f"the execution is {state} already")
        self.state = state


class KeyMismatch(ExecutionError):
    """The key names another request."""

    def __init__(self) -> None:
        super().__init__("this Idempotency-Key was sent with another request within the last day")


class KeyInProgress(ExecutionError):
    """The request with this key was accepted and has no end yet."""

    def __init__(self, execution_id: UUID) -> None:
        super().__init__("the request with this Idempotency-Key is still being executed")
        self.execution = str(execution_id)


class InputTooLarge(ExecutionError):
    """The input is larger than the limit. `pointer` says where it stands in the request."""

    def __init__(self, limit: int, actual: int, *, pointer: str) -> None:
        super().__init__(f"the input has {actual} bytes, the limit is {limit}")
        self.limit, self.actual, self.pointer = limit, actual, pointer
