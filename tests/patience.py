"""Waiting for something to come true."""

import time
from collections.abc import Callable

#: Long enough for a machine that is busy with other tests; nothing that works takes so long.
PATIENCE_SECONDS = 60.0


def came_true(condition: Callable[[], object], *, seconds: float = PATIENCE_SECONDS) -> bool:
    """Whether the condition came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def until(condition: Callable[[], object], *, seconds: float = PATIENCE_SECONDS, what: str = "it") -> float:
    """Wait for the condition; answers the seconds that took, fails the test where it does not come true."""
    began = time.monotonic()
    assert came_true(condition, seconds=seconds), f"{what} did not come to pass within {seconds:.0f} s"
    return time.monotonic() - began
