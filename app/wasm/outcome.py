"""How an execution ended."""

import re
from dataclasses import dataclass
from enum import StrEnum

from app.wasm.limits import MESSAGE_CHARACTERS

# Toolchains name the author's file `source.<extension>`, so this finds the first frame that is not the glue's.
_LOCATION = re.compile(r"\bsource\.\w{1,8}:\d{1,9}(?::\d{1,9})?")


class Failure(StrEnum):
    """Why an execution has no output."""

    FUNCTION_ERROR = "FUNCTION_ERROR"
    TRAP = "TRAP"
    TIMEOUT = "TIMEOUT"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    STACK_OVERFLOW = "STACK_OVERFLOW"
    INVALID_OUTPUT = "INVALID_OUTPUT"
    OUTPUT_TOO_LARGE = "OUTPUT_TOO_LARGE"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why the guest was ended. `location` is `file:line:column` in the author's source, where the guest said it;
    `frames` are the offsets in the module of the calls that a trap ended, innermost first.
    """

    failure: Failure
    message: str
    location: str | None = None
    frames: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of one execution: either `output` (JSON text) or `failure` with its `message`.

    `logs` is bounded and holds no NUL. `memory_peak_bytes` is the size that linear memory reached, 0 where the module
    ended before it could be seen. `fuel_used` is None while the engine does not count fuel. `frames` are where a trap
    without a `location` came from, for `lines.place_of`.
    """

    output: str | None
    failure: Failure | None
    message: str | None
    location: str | None
    logs: str
    duration_ms: float
    memory_peak_bytes: int
    fuel_used: int | None
    frames: tuple[int, ...] = ()


def plain(text: str) -> str:
    """`text` as it may be kept: without NUL, which PostgreSQL text cannot hold, and bounded."""
    text = text.strip().replace("\0", "\N{REPLACEMENT CHARACTER}")
    return text if len(text) <= MESSAGE_CHARACTERS else text[:MESSAGE_CHARACTERS] + "…"


def location_in(text: str) -> str | None:
    """The first place in the author's source that `text` names, as `source.ts:2:25`."""
    found = _LOCATION.search(text)
    return found.group() if found else None


def with_place(text: str) -> tuple[str, str | None]:
    """A message and its place: the last line if that is one, or the first that the message names."""
    message, newline, last = text.rstrip("\n").rpartition("\n")
    if newline and _LOCATION.fullmatch(last):
        return message, last
    return text, location_in(text)
