"""Statements on many executions at once, which a filter chooses. Each is bounded."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from app.accounts.domain import Principal
from app.accounts.sharing import viewer, visible
from app.broker import publishing_statements
from app.executions.domain import Filter, Replays, Trigger
from app.executions.history_queries import conditions
from app.executions.submission_queries import EACH, GATED

#: The version of each of `executions` with which it can be executed once more: its own, or the active one. What has no
#: such version any more is left out.
_VERSIONS = f"""functions AS function JOIN versions AS version ON version.function_id = function.id
    WHERE function.id = executions.function_id AND function.deleted_at IS NULL AND {visible("function")}
      AND version.status = 'READY' AND version.retired_at IS NULL AND version.number = CASE
        WHEN %(is_active)s THEN function.active_version ELSE coalesce(%(wanted_version)s, executions.version) END"""

_REPLAYABLE = f"""
SELECT executions.id FROM executions, {_VERSIONS} AND executions.id = ANY (%(originals)s::uuid[]) ORDER BY executions.id
"""

#: Of those the oldest that have ended and match. Versions are looked at for one after the other, in the order of ids.
_ENDED = f"""
SELECT id FROM executions
WHERE completed_at IS NOT NULL AND EXISTS (SELECT FROM {_VERSIONS}) AND {{conditions}} ORDER BY id LIMIT %(limit)s
"""

#: Accept each of them once more, with its own input.
_REPLAY = f"""
WITH accepted AS (
    INSERT INTO executions (
        id, function_id, version, status, input, attempts, trigger, correlation_id, caller_id, priority, replay_of,
        created_at
    )
    SELECT one.id, function.id, version.number, 'PENDING', executions.input, 0, %(trigger)s, %(correlation_id)s,
           %(viewer_id)s, %(level)s, executions.id, now()
    FROM unnest(%(ids)s::uuid[], %(originals)s::uuid[]) AS one (id, original)
    CROSS JOIN LATERAL (SELECT * FROM executions WHERE id = one.original LIMIT 1) AS executions, {_VERSIONS}
    ORDER BY one.id
    RETURNING id AS execution_id, function_id, replace(%(payload)s, '{EACH}', id::text)::json AS payload,
              now() AS ready_at, expires_at{GATED}
), {publishing_statements.PUBLISH_ACCEPTED_TIMED}
SELECT count(*) AS accepted, (SELECT count(*) FROM woken) AS woken FROM accepted
"""

#: End some of those that have not ended, whose messages say which they are, and tell whoever waits. A user ends those
#: that they asked for, and those of functions that they own.
_CANCEL = """
WITH doomed AS (
    SELECT message.id FROM broker.messages AS message
    JOIN executions ON executions.id = message.execution_id AND executions.function_id = message.function_id
    JOIN functions AS function ON function.id = executions.function_id
    WHERE message.state <> 'dead' AND {conditions}
      AND (%(sees_all)s OR executions.caller_id = %(viewer_id)s OR %(owns)s AND function.owner_id = %(viewer_id)s)
    ORDER BY message.id
    LIMIT %(limit)s
    FOR UPDATE OF message
), dropped AS (
    DELETE FROM broker.messages AS message USING doomed WHERE message.id = doomed.id RETURNING message.execution_id
), cancelled AS (
    UPDATE executions SET status = 'CANCELLED', completed_at = now()
    FROM dropped WHERE executions.id = dropped.execution_id AND status IN ('PENDING', 'RUNNING')
    RETURNING executions.id, waiter
)
SELECT (SELECT count(*) FROM dropped) AS dropped, count(*) AS cancelled,
       count(pg_notify(waiter, json_build_object('id', id)::text)) FILTER (WHERE waiter IS NOT NULL) AS notified
FROM cancelled
"""


def ended(connection: Connection, principal: Principal, replays: Replays) -> Sequence[UUID]:
    """The oldest executions that match, that a user may see, that have ended, and can be executed once more."""
    where, parameters = conditions(principal, replays.wanted)
    parameters |= viewer(principal) | _version(replays) | {"limit": replays.limit}
    return connection.exec_driver_sql(_ENDED.format(conditions=where), parameters).scalars().all()


def replayable(
    connection: Connection, principal: Principal, replays: Replays, originals: Sequence[UUID]
) -> Sequence[UUID]:
    """Those of these executions that can be executed once more."""
    parameters = viewer(principal) | _version(replays) | {"originals": list(originals)}
    return connection.exec_driver_sql(_REPLAYABLE, parameters).scalars().all()


def replay(
    connection: Connection,
    principal: Principal,
    replays: Replays,
    pairs: Sequence[tuple[UUID, UUID]],
    *,
    address: dict[str, Any],
    payload: str,
    lane_places: int | None,
) -> int:
    """Accept an execution for each pair of its id and that of the original; answers how many there were."""
    parameters: dict[str, Any] = (
        viewer(principal)
        | address
        | _version(replays)
        | {
            "ids": [one for one, _ in pairs],
            "originals": [original for _, original in pairs],
            "level": replays.priority,
            "trigger": Trigger.REPLAY,
            "correlation_id": replays.correlation_id,
            "payload": payload,
            "lane_places": lane_places,
        }
    )
    return int(connection.exec_driver_sql(_REPLAY, parameters).one().accepted)


def _version(replays: Replays) -> dict[str, Any]:
    return {"wanted_version": replays.version, "is_active": replays.is_active}


def cancel(connection: Connection, principal: Principal, wanted: Filter, *, owns: bool, limit: int) -> tuple[int, int]:
    """End at most so many that match; answers how many messages are gone, and how many executions have ended by it.
    `owns`: who owns a function may end what others asked for.
    """
    where, parameters = conditions(principal, wanted)
    row = connection.exec_driver_sql(
        _CANCEL.format(conditions=where), parameters | {"owns": owns, "limit": limit}
    ).one()
    return row.dropped, row.cancelled
