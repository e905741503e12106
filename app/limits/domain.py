"""Limits and what it means to have reached them. Plain Python."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import ceil
from typing import Any, Final

WINDOW_SECONDS: Final = 60

#: Of what a minute allows, a sixth may be taken at once.
BURST_SHARE: Final = 6

#: When whoever found a queue full had better ask again.
QUEUE_RETRY_SECONDS: Final = 5


class Scope(StrEnum):
    """What a limit is counted for."""

    USER = "USER"
    KEY = "KEY"
    FUNCTION = "FUNCTION"
    INSTALLATION = "INSTALLATION"


@dataclass(frozen=True, slots=True)
class Rate:
    """How often something may be done, by the generic cell rate algorithm: turns come evenly, and up to `burst` of them
    may have been saved up. `name` is what they are counted under.
    """

    scope: Scope
    name: str
    per_minute: int

    @property
    def every_seconds(self) -> float:
        """From one turn to the next."""
        return WINDOW_SECONDS / self.per_minute

    @property
    def burst(self) -> int:
        """How many may be taken at once."""
        return max(1, self.per_minute // BURST_SHARE)

    def wait_seconds(self, ahead_seconds: float, count: int = 1) -> float:
        """Until as many turns have come, when the next that is free comes so far ahead; 0 where they have. More than
        the burst may be taken as soon as all of it has come.
        """
        return max(0.0, ahead_seconds + (min(count, self.burst) - self.burst) * self.every_seconds)


@dataclass(frozen=True, slots=True)
class Standing:
    """How much of a rate is taken: the next free turn comes so many seconds from now, or came before."""

    rate: Rate
    ahead_seconds: float = 0.0

    @property
    def taken(self) -> int:
        """Turns of the burst that are taken, or more where more were taken at once."""
        return max(0, ceil(self.ahead_seconds / self.rate.every_seconds - 1e-6))

    @property
    def left(self) -> int:
        """Turns that may be taken at once."""
        return max(0, self.rate.burst - self.taken)


def headers(standings: Sequence[Standing]) -> dict[str, str]:
    """What is told of rates, as the IETF's draft on RateLimit header fields (version 10) has it: `q` turns in `w`
    seconds, of which `r` may be taken at once; in `t` seconds all that may be saved up has come again.
    """
    if not standings:
        return {}
    names = [one.rate.scope.lower() for one in standings]
    policies = [
        f'"{name}";q={one.rate.per_minute};w={WINDOW_SECONDS}' for name, one in zip(names, standings, strict=True)
    ]
    now = [
        f'"{name}";r={one.left};t={ceil(max(one.ahead_seconds, 0))}' for name, one in zip(names, standings, strict=True)
    ]
    return {"RateLimit-Policy": ", ".join(policies), "RateLimit": ", ".join(now)}


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit as its caller sees it; no value where there is none, nothing used where nothing is counted."""

    name: str
    value: int | None
    used: int | None
    scope: Scope


class LimitError(Exception):
    """A limit is reached."""


class OutOfTurns(LimitError):
    """A statement found no turn of some rate."""


class RateLimited(LimitError):
    """It was asked for too often."""

    def __init__(self, standing: Standing, wait_seconds: float) -> None:
        rate = standing.rate
        self.retry_after_seconds = max(1, ceil(wait_seconds))
        super().__init__(
            f"this {rate.scope.lower()} may have {rate.per_minute} executions a minute, and {rate.burst} at once; "
            f"ask again in {self.retry_after_seconds} s"
        )
        self.scope, self.limit = rate.scope, rate.per_minute
        self.headers = headers([standing])


class RatesChanged(LimitError):
    """Limits were changed at this moment; ask again."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)
        self.retry_after_seconds = 1


class QuotaExceeded(LimitError):
    """As much of the caller's waits as may."""

    def __init__(self, limit: int, used: int) -> None:
        super().__init__(f"{used} of your executions wait, and {limit} may; ask again when some have ended")
        self.which, self.limit, self.used = "queued", limit, used
        self.retry_after_seconds = QUEUE_RETRY_SECONDS


class Overloaded(LimitError):
    """As much waits as may, whoever's it is."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} executions wait, and no more may; ask again when some have ended")
        self.retry_after_seconds = QUEUE_RETRY_SECONDS


@dataclass(frozen=True, slots=True)
class Allowance:
    """What applies to a caller: rates, and how many of their executions may be under way; none for any number."""

    rates: tuple[Rate, ...] = ()
    concurrency: int | None = None

    @property
    def is_boundless(self) -> bool:
        """Whether nothing does."""
        return not self.rates and self.concurrency is None


def told(rows: Sequence[Mapping[str, Any]] | None) -> tuple[Standing, ...]:
    """What a statement says of the rates that it took turns of."""
    return tuple(
        Standing(Rate(Scope(row["scope"]), row["name"], row["per_minute"]), row["ahead_seconds"]) for row in rows or ()
    )
