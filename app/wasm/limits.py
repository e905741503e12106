"""What one execution may use, and what no execution may change."""

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB

STACK_BYTES = 512 * KIB
# An interpreter needs several frames for each call of what it interprets.
COMPONENT_STACK_BYTES = 2 * MIB
# A component is made of many modules that share one memory.
COMPONENT_INSTANCES = 200
COMPONENT_TABLES = 16
TABLE_ENTRIES = 100_000
TABLES = 4
MEMORIES = 1
INSTANCES = 1
MESSAGE_CHARACTERS = 4_000
RANDOM_BYTES = MIB
VECTORS = 1_024
SUBSCRIPTIONS = 64
CLOCK_GRAIN_MS = 1


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one execution.

    `timeout_ms` is wall clock and counts everything that the guest does, its start function included. `memory_bytes`
    bounds its linear memory, `output_bytes` the UTF-8 of its answer, `log_bytes` what is kept of its log.
    `patience_ms` is how long the host wants to wait where that is less than the function may take; the function does
    not know of it, and ends as TIMEOUT.
    """

    timeout_ms: int = 3_000
    memory_bytes: int = 64 * MIB
    output_bytes: int = MIB
    log_bytes: int = 64 * KIB
    patience_ms: float | None = None
