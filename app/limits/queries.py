"""Statements on limits: turns of rates, and what waits or is under way."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection

from app.functions.domain import TURNS_OF_FUNCTION
from app.limits.domain import BURST_SHARE, WINDOW_SECONDS, Rate, Scope, Standing

#: Parts of a larger statement: take a turn of every rate that applies for each row of `ready`, which has a
#: `function_id`; of the caller's, which are given, and of the functions' own. Either all are taken or none, but for
#: those of two requests at one moment that together are too many: the second may have taken some of its rates and not
#: others. Rows: `turns`, as many as there are in `rates` with a count where they were taken. What counts more than the
#: burst may be taken as soon as all of the burst has come; whoever comes next waits the longer.
TAKING: Final = f"""rates AS MATERIALIZED (
    SELECT scope, name, per_minute, interval '{WINDOW_SECONDS} seconds' / per_minute AS every,
           greatest(1, per_minute / {BURST_SHARE}) AS burst, count
    FROM (
        SELECT scope, name, per_minute, (SELECT count(*) FROM ready)
        FROM unnest(%(rate_scopes)s::text[], %(rate_names)s::text[], %(rates)s::integer[])
             AS given (scope, name, per_minute)
        UNION ALL
        SELECT '{Scope.FUNCTION}', '{TURNS_OF_FUNCTION}' || function.id, executions_per_minute, count(*)
        FROM ready JOIN functions AS function ON function.id = ready.function_id
        WHERE executions_per_minute IS NOT NULL
        GROUP BY function.id
    ) AS rate (scope, name, per_minute, count)
), turns AS (
    INSERT INTO throttles AS throttle (name, due_at)
    SELECT name, now() + every * count FROM rates
    WHERE count > 0 AND NOT EXISTS (
        SELECT FROM rates JOIN throttles USING (name) WHERE due_at > now() + every * (burst - least(count, burst))
    )
    ORDER BY name
    ON CONFLICT (name) DO UPDATE SET due_at = greatest(throttle.due_at, now()) + (excluded.due_at - now())
    WHERE throttle.due_at <= (
        SELECT now() + every * (burst - least(count, burst)) FROM rates WHERE rates.name = throttle.name
    )
    RETURNING name, due_at
)"""

#: Whether all were taken, and what is to be told of them.
ARE_TAKEN: Final = "(SELECT count(*) FROM turns) = (SELECT count(*) FROM rates WHERE count > 0)"
TOLD: Final = """(
    SELECT json_agg(json_build_object('scope', scope, 'name', name, 'per_minute', per_minute,
                                      'ahead_seconds', extract(epoch FROM due_at - now())::double precision))
    FROM turns JOIN rates USING (name)
)"""

_TAKE = f"""
WITH ready AS (SELECT function_id FROM executions WHERE id = ANY (%(ids)s)), {TAKING}
SELECT {ARE_TAKEN} AS are_taken, scope, name, per_minute, count AS wanted,
       coalesce(extract(epoch FROM throttles.due_at - now()), 0)::double precision AS ahead_seconds
FROM rates LEFT JOIN throttles USING (name)
"""

_STANDINGS = """
SELECT name, extract(epoch FROM due_at - now())::double precision FROM throttles WHERE name = ANY (%(names)s)
"""

#: What of a queue has not been claimed, of one lane or of all. There is no more to count than so many.
_WAITING = """
SELECT count(*) FROM (
    SELECT FROM broker.messages WHERE queue = %(queue)s AND state = 'ready' {of_lane}
    UNION ALL
    SELECT FROM broker.messages WHERE queue = %(queue)s AND state = 'delayed' {of_lane}
    LIMIT %(most)s
) AS waiting
"""
_WAITING_OF_LANE = _WAITING.format(of_lane="AND lane = %(lane)s")
_WAITING_OF_ALL = _WAITING.format(of_lane="")

_UNDER_WAY = """
SELECT count(*) FROM broker.messages
WHERE state IN ('ready', 'leased') AND gated AND {column} = %(whose)s
"""


def function_rate(function_id: UUID, per_minute: int) -> Rate:
    """A function's own rate."""
    return Rate(Scope.FUNCTION, f"{TURNS_OF_FUNCTION}{function_id}", per_minute)


def parameters(rates: Sequence[Rate]) -> dict[str, Any]:
    """What TAKING needs to know of a caller's rates."""
    return {
        "rate_scopes": [rate.scope for rate in rates],
        "rate_names": [rate.name for rate in rates],
        "rates": [rate.per_minute for rate in rates],
    }


def take(connection: Connection, rates: Sequence[Rate], executions: Sequence[UUID]) -> list[tuple[Standing, int]]:
    """Take turns for these executions, to be executed once more. Answers how much of each rate was taken before, with
    how much was wanted, where there was not as much; nothing where there was.
    """
    rows = connection.exec_driver_sql(_TAKE, parameters(rates) | {"ids": list(executions)}).all()
    if all(row.are_taken for row in rows):
        return []
    return [(Standing(Rate(Scope(row.scope), row.name, row.per_minute), row.ahead_seconds), row.wanted) for row in rows]


def standings(connection: Connection, rates: Sequence[Rate]) -> list[Standing]:
    """How much of each is taken."""
    rows = connection.exec_driver_sql(_STANDINGS, {"names": [rate.name for rate in rates]})
    ahead = {row[0]: row[1] for row in rows}
    return [Standing(rate, ahead.get(rate.name, 0.0)) for rate in rates]


def waiting(connection: Connection, queue: str, *, most: int, lane: str | None = None) -> int:
    """How much of a queue has not been claimed, of a lane or of all; `most` where it is more."""
    statement = _WAITING_OF_ALL if lane is None else _WAITING_OF_LANE
    return int(connection.exec_driver_sql(statement, {"queue": queue, "lane": lane, "most": most}).scalar_one())


def under_way(connection: Connection, *, lane: str | None = None, function_id: UUID | None = None) -> int:
    """How much of a lane or a function is ready or in a worker's hands, of what may have to wait for its like."""
    column, whose = ("function_id", function_id) if lane is None else ("lane", lane)
    return int(connection.exec_driver_sql(_UNDER_WAY.format(column=column), {"whose": whose}).scalar_one())
