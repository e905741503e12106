"""Names, states and limits of functions. Plain Python."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NewType
from uuid import UUID

from app.accounts.domain import MOST_PER_MINUTE

FunctionId = NewType("FunctionId", UUID)


#: The alias that every function has: it means its active version, and nothing else can be meant by it.
ACTIVE = "active"

#: How many a function may have besides.
MOST_ALIASES = 100

#: Under which the turns of its rate are counted, with its id behind.
TURNS_OF_FUNCTION = "executions of function "

#: Deliveries after which a failure of the platform itself ends the work.
MAX_DELIVERIES = 5


class VersionStatus(StrEnum):
    """The life of a version."""

    PENDING = "PENDING"
    COMPILING = "COMPILING"
    READY = "READY"
    FAILED = "FAILED"


#: A compilation whose worker died begins again, so COMPILING may follow itself.
TRANSITIONS: dict[VersionStatus, frozenset[VersionStatus]] = {
    VersionStatus.PENDING: frozenset({VersionStatus.COMPILING, VersionStatus.FAILED}),
    VersionStatus.COMPILING: frozenset({VersionStatus.COMPILING, VersionStatus.READY, VersionStatus.FAILED}),
    VersionStatus.READY: frozenset(),
    VersionStatus.FAILED: frozenset(),
}


class Verification(StrEnum):
    """What came of building a version again."""

    PENDING = "PENDING"
    MATCHES = "MATCHES"
    DIFFERS = "DIFFERS"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Provenance:
    """By what a source was compiled, and the digests of what that made."""

    toolchain: str
    toolchain_version: str
    flags: tuple[str, ...]
    wasm_digest: str
    layer_digest: str | None

    @property
    def digests(self) -> tuple[str, str | None]:
        """What names the bytes that are executed."""
        return self.wasm_digest, self.layer_digest

    def changed_compiler(self, later: "Provenance") -> str | None:
        """How the compiler of `later` differs from this one, as a sentence; none where it does not."""
        before, now = (f"{one.toolchain} {one.toolchain_version}" for one in (self, later))
        if before != now:
            return f"It was compiled by {before}; what is installed now is {now}."
        if self.flags != later.flags:
            return f"{before} was given other flags: {' '.join(self.flags)}; now it is given {' '.join(later.flags)}."
        return None


@dataclass(frozen=True, slots=True)
class Finding:
    """How a verification ended. `rebuilt` is there where the version could be built again."""

    verification: Verification
    reason: str | None = None
    rebuilt: Provenance | None = None


@dataclass(frozen=True, slots=True)
class FunctionLimits:
    """What one execution may use, and all of them together."""

    timeout_ms: int = 3_000
    memory_mb: int = 64
    executions_per_minute: int | None = None
    """How often it may be executed; none for as often as anybody likes."""
    concurrency: int | None = None
    """How many of its executions may be under way at a time; none for any number."""


#: What a function's failures are called, all of which are followed by another attempt where nothing else is said.
RETRIED = (
    "FUNCTION_ERROR",
    "TRAP",
    "TIMEOUT",
    "OUT_OF_MEMORY",
    "STACK_OVERFLOW",
    "INVALID_OUTPUT",
    "OUTPUT_TOO_LARGE",
)

MOST_ATTEMPTS = 10


@dataclass(frozen=True, slots=True)
class Retry:
    """Which failures of a function are followed by another attempt. Times are seconds."""

    attempts: int
    """At most so many in all, of those that the function itself ended."""
    backoff_seconds: float = 1.0
    """Before the second; before each further one twice as long."""
    max_backoff_seconds: float = 300.0
    error_types: tuple[str, ...] = RETRIED

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> "Retry":
        """From what is kept of it with a function."""
        return cls(**{**kept, "error_types": tuple(kept["error_types"])})

    def delay(self, error_type: str | None, retries: int, *, chance: float) -> float | None:
        """How long after a failure the next attempt begins, or none when there is none. `chance`, from 0 to 1, lets it
        begin up to half as much sooner, so that what failed together is not tried again together.
        """
        if error_type not in self.error_types or retries + 1 >= self.attempts:
            return None
        longest = min(self.backoff_seconds * 2.0**retries, self.max_backoff_seconds)
        return longest * (1 - chance / 2)


#: The most that a function may ask for.
MOST = FunctionLimits(timeout_ms=3_600_000, memory_mb=256, executions_per_minute=MOST_PER_MINUTE, concurrency=10_000)


def function_status(active_version: int | None, latest: VersionStatus) -> VersionStatus:
    """READY as soon and as long as any version is active; before that, the state of the latest version."""
    return VersionStatus.READY if active_version is not None else latest


def digest_of(content: bytes) -> str:
    """What names a source, an artifact or a layer: its sha256 in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


class FunctionError(Exception):
    """Something about a function is not as the caller needs it."""


class UnknownFunction(FunctionError):
    """There is no such function."""


class NoSuchVersion(FunctionError):
    """The function has no such version."""


class NoSuchAlias(FunctionError):
    """The function has no such alias."""


class ReservedAlias(FunctionError):
    """This alias means the active version of every function."""

    def __init__(self) -> None:
        super().__init__(f"the alias {ACTIVE} means the active version of every function")


class TooManyAliases(FunctionError):
    """The function has as many aliases as one may have."""

    def __init__(self) -> None:
        super().__init__(f"a function has {MOST_ALIASES} aliases at most")


class VersionNotReady(FunctionError):
    """The version has nothing that was built."""

    def __init__(self, state: str) -> None:
        super().__init__(f"the version is {state}; it can be verified, activated or named once it is READY")
        self.state = state


class VersionSuperseded(FunctionError):
    """There is newer code than that of the version."""

    def __init__(self, number: int, latest: int) -> None:
        super().__init__(f"version {latest} is newer; version {number}, built again, would replace it")
        self.latest = latest


class NameTaken(FunctionError):
    """Another function has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is already a function named {name}")
        self.name = name


class RevisionMismatch(FunctionError):
    """The function was changed since the caller read it."""


class SourceTooLarge(FunctionError):
    """The source is larger than the limit."""

    def __init__(self, limit: int, actual: int) -> None:
        super().__init__(f"the source has {actual} bytes, the limit is {limit}")
        self.limit, self.actual = limit, actual


class MemoryTooSmall(FunctionError):
    """The function may use less memory than its language needs before it begins."""

    def __init__(self, language: str, least_mb: int) -> None:
        super().__init__(f"a function in {language} needs a memoryMb of at least {least_mb}")
        self.pointer = "/limits/memoryMb"
