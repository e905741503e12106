"""`Prefer: wait=N` and `Prefer: respond-async` (RFC 7240). What is not understood is ignored, as the RFC wants it."""

import re
from dataclasses import dataclass

_WAIT = re.compile(r"wait\s*=\s*\"?(\d{1,9})\"?")


@dataclass(frozen=True, slots=True)
class Preference:
    """How long the caller will wait for an answer, and what was honoured of the header."""

    wait_seconds: float
    applied: str | None = None


def preference(header: str | None, *, longest_seconds: int) -> Preference:
    """Read the header. Without it the wait is the longest; `respond-async` alone is no wait; both together wait, then
    answer 202.
    """
    wait: int | None = None
    respond_async = False
    for part in (header or "").split(","):
        word = part.split(";")[0].strip().lower()
        if match := _WAIT.fullmatch(word):
            wait = min(int(match.group(1)), longest_seconds) if wait is None else wait
        elif word == "respond-async":
            respond_async = True
    if wait is not None:
        return Preference(wait, f"wait={wait}")
    if respond_async:
        return Preference(0, "respond-async")
    return Preference(longest_seconds)
