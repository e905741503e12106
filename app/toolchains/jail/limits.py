"""What goes into a run beside its command, and what comes out."""

from collections.abc import Mapping
from dataclasses import dataclass, field

MEBIBYTE = 1 << 20


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
    file_bytes: int = 64 * MEBIBYTE
    open_files: int = 256
    # On top of what the user already runs. The kernel does not apply it to root.
    processes: int = 64
    stdout_bytes: int = MEBIBYTE
    stderr_bytes: int = MEBIBYTE
    # For each file that is taken out.
    output_bytes: int = 32 * MEBIBYTE


@dataclass(frozen=True)
class JailResult:
    """How a run ended and what it left.

    `returncode` is negative for a signal. `stdout` and `stderr` are at most as long as their limits. `refused` gives,
    for each expected output that was not taken, the reason as the end of a sentence about the file.
    """

    returncode: int
    stdout: bytes
    stderr: bytes
    duration_ms: int
    timed_out: bool = False
    output_exceeded: bool = False
    peak_memory_bytes: int = 0
    outputs: Mapping[str, bytes] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
