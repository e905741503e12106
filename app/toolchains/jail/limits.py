"""What goes into a run beside its command, and what comes out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

MEBIBYTE = 1 << 20


class Bound(StrEnum):
    """What a run had too much of."""

    TIME = "time"
    MEMORY = "memory"
    PROCESSES = "processes"
    FILES = "files"
    OUTPUT = "output"


class JailError(Exception):
    """The jail could not be set up; the program did not run."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__doc__)


@dataclass(frozen=True)
class JailLimits:
    """The bounds of one run. Each of them is enforced, or its comment says for whom it is not."""

    wall_ms: int = 20_000
    cpu_seconds: int = 30
    # The data limit bounds what is written to; an address space limit would stop node and Go, which reserve far more.
    data_bytes: int = 1280 * MEBIBYTE
    # Of all processes together; looked at ten times a second.
    memory_bytes: int = 2048 * MEBIBYTE
    file_bytes: int = 64 * MEBIBYTE
    # All files of the run together; looked at ten times a second.
    files_bytes: int = 256 * MEBIBYTE
    open_files: int = 256
    processes: int = 64
    stdout_bytes: int = MEBIBYTE
    stderr_bytes: int = MEBIBYTE
    # For each file that is taken out.
    output_bytes: int = 32 * MEBIBYTE


@dataclass(frozen=True)
class JailResult:
    """How a run ended and what it left.

    `returncode` is negative for a signal. `exceeded` is the bound that ended it. `stdout` and `stderr` are at most as
    long as their limits. `refused` gives, for each expected output that was not taken, the reason as the end of a
    sentence about the file. `lacking` names what the kernel has not: `landlock`, `seccomp`.
    """

    returncode: int
    stdout: bytes
    stderr: bytes
    duration_ms: int
    exceeded: Bound | None = None
    peak_memory_bytes: int = 0
    outputs: Mapping[str, bytes] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    lacking: frozenset[str] = frozenset()
