"""What applies to whom, and whether there is room."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Final
from uuid import UUID

from sqlalchemy import Connection

from app.accounts.domain import Principal
from app.functions import service as functions
from app.functions.domain import MOST
from app.limits import queries
from app.limits.domain import (
    Allowance,
    Limit,
    LimitError,
    Overloaded,
    QuotaExceeded,
    Rate,
    RateLimited,
    RatesChanged,
    Scope,
    Standing,
)
from app.platform import Platform
from app.queue import Queue
from app.settings import Settings

#: What the executions of all callers are counted by.
_ALL: Final = "all"


def lane_of(principal: Principal) -> str:
    """What the executions of a caller are counted and queued by."""
    return str(principal.user_id)


def allowance_of(settings: Settings, principal: Principal) -> Allowance:
    """The limits of a caller; functions have their own beside."""
    rates = []
    if settings.user_executions_per_minute:
        name = f"executions of user {principal.user_id}"
        rates.append(Rate(Scope.USER, name, settings.user_executions_per_minute))
    per_minute = principal.key_rate(settings.key_executions_per_minute)
    if per_minute is not None:
        rates.append(Rate(Scope.KEY, f"executions of key {principal.actor.credential_id}", per_minute))
    return Allowance(tuple(rates), settings.user_concurrency or None)


def refusal(platform: Platform, principal: Principal, function_id: UUID, *, count: int) -> LimitError:
    """Why a statement found no turns: the rate that is to be waited for longest, where any applies still. Raises
    `UnknownFunction`.
    """
    rates = list(allowance_of(platform.settings, principal).rates)
    function, _ = functions.read(platform, principal, function_id)
    if function.executions_per_minute is not None:
        rates.append(queries.function_rate(function.id, function.executions_per_minute))
    if not rates:
        return RatesChanged()
    with platform.database.statement() as connection:
        return _longest([(standing, count) for standing in queries.standings(connection, rates)])


def take(platform: Platform, connection: Connection, principal: Principal, executions: Sequence[UUID]) -> Allowance:
    """Take turns for executions that are to be executed once more, in the caller's transaction; raises `RateLimited`.
    Answers what applies to who wants it.
    """
    allowance = allowance_of(platform.settings, principal)
    refused = queries.take(connection, allowance.rates, executions)
    if refused:
        raise _longest(refused)
    return allowance


def _longest(wanted: Sequence[tuple[Standing, int]]) -> RateLimited:
    refusals = [RateLimited(one, one.rate.wait_seconds(one.ahead_seconds, count)) for one, count in wanted]
    return max(refusals, key=lambda refused: refused.retry_after_seconds)


def check_room(platform: Platform, principal: Principal, count: int, *, connection: Connection | None = None) -> None:
    """Raises `QuotaExceeded` where the caller's queue has no room for so many more, and `Overloaded` where nobody's
    has. Whoever holds a `connection` gives it, and takes no second one.
    """
    settings, lane = platform.settings, lane_of(principal)
    counting = _waiting(platform, lane, connection=connection)
    used = platform.counts.add(lane, count, limit=settings.user_queue, count=counting)
    if used is not None:
        raise QuotaExceeded(settings.user_queue, used)
    counting = _waiting(platform, connection=connection)
    if platform.counts.add(_ALL, count, limit=settings.queue, count=counting) is not None:
        raise Overloaded(settings.queue)


def _waiting(platform: Platform, lane: str | None = None, *, connection: Connection | None = None) -> Callable[[], int]:
    """What counts how much of a lane waits, or of all; no more than may."""
    most = platform.settings.queue if lane is None else platform.settings.user_queue

    def count() -> int:
        with platform.database.statement() if connection is None else nullcontext(connection) as statement:
            return queries.waiting(statement, Queue.EXECUTE, lane=lane, most=most)

    return count


def read(platform: Platform, principal: Principal, function_id: UUID | None = None) -> list[Limit]:
    """What applies to a caller, and to a function where one is named, with how much of it is used. Raises
    `UnknownFunction`.
    """
    settings, lane = platform.settings, lane_of(principal)
    allowance = allowance_of(settings, principal)
    function = None if function_id is None else functions.read(platform, principal, function_id)[0]
    rates = {rate.scope: rate for rate in allowance.rates}
    if function is not None and function.executions_per_minute is not None:
        rates[Scope.FUNCTION] = queries.function_rate(function.id, function.executions_per_minute)
    with platform.database.statement() as connection:
        standings = {one.rate.scope: one for one in queries.standings(connection, list(rates.values()))}
        under_way = queries.under_way(connection, lane=lane)
        of_function = None if function is None else queries.under_way(connection, function_id=function.id)
    queued = platform.counts.read(lane, count=_waiting(platform, lane))
    queued_in_all = platform.counts.read(_ALL, count=_waiting(platform))
    limits = [
        _rate(Scope.USER, standings),
        Limit("concurrency", allowance.concurrency, under_way if allowance.concurrency else None, Scope.USER),
        Limit("queued", settings.user_queue, queued, Scope.USER),
        Limit("queued", settings.queue, queued_in_all, Scope.INSTALLATION),
        *(Limit(name, value, None, Scope.INSTALLATION) for name, value in _sizes(settings).items()),
    ]
    if principal.is_key:
        limits.insert(1, _rate(Scope.KEY, standings))
    if function is not None:
        used = of_function if function.concurrency else None
        limits += [
            _rate(Scope.FUNCTION, standings),
            Limit("concurrency", function.concurrency, used, Scope.FUNCTION),
            Limit("timeoutMs", function.timeout_ms, None, Scope.FUNCTION),
            Limit("memoryMb", function.memory_mb, None, Scope.FUNCTION),
        ]
    return limits


def _rate(scope: Scope, standings: dict[Scope, Standing]) -> Limit:
    standing = standings.get(scope)
    if standing is None:
        return Limit("executionsPerMinute", None, None, scope)
    return Limit("executionsPerMinute", standing.rate.per_minute, standing.taken, scope)


def _sizes(settings: Settings) -> dict[str, int]:
    return {
        "sourceBytes": settings.max_source_bytes,
        "wasmBytes": settings.max_wasm_bytes,
        "inputBytes": settings.max_input_bytes,
        "outputBytes": settings.max_output_bytes,
        "logBytes": settings.max_log_bytes,
        "timeoutMs": MOST.timeout_ms,
        "memoryMb": MOST.memory_mb,
    }
