"""Statements on dead letters: messages that were set aside."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from app.operations.domain import LetterFilter

_LISTED = """
SELECT id, queue, dead_reason AS reason, died_at, priority, deliveries, losses, requeues, function_id, execution_id,
       headers ->> 'task' AS task, headers ->> 'correlation' AS correlation_id, enqueued_at{more}
FROM broker.messages CROSS JOIN LATERAL (SELECT broker.readable(payload) -> 'headers') AS read (headers)
WHERE state = 'dead' AND {conditions}
ORDER BY id DESC LIMIT %(limit)s
"""

#: Let one be delivered again as if it had never been before. It is none of an execution, so none that is gated.
_REVIVE = """
WITH revived AS (
    UPDATE broker.messages
    SET state = 'ready', ready_at = now(), dead_reason = NULL, died_at = NULL, deliveries = 0, losses = 0, requeues = 0
    WHERE id = %(id)s AND state = 'dead'
    RETURNING queue
)
SELECT pg_notify(broker.channel_of(queue), '') FROM revived
"""

_DELETE = "DELETE FROM broker.messages WHERE state = 'dead' AND {conditions}"


def page(connection: Connection, wanted: LetterFilter, *, before: int | None, limit: int) -> list[dict[str, Any]]:
    """The newest before an id, without what is in them."""
    conditions, parameters = _conditions(wanted)
    if before is not None:
        conditions += " AND id < %(before)s"
    statement = _LISTED.format(more="", conditions=conditions)
    rows = connection.exec_driver_sql(statement, parameters | {"before": before, "limit": limit})
    return [dict(row._mapping) for row in rows]


def find(connection: Connection, letter_id: int) -> dict[str, Any] | None:
    """One of them, with its text."""
    statement = _LISTED.format(more=", payload::text AS payload", conditions="id = %(id)s")
    row = connection.exec_driver_sql(statement, {"id": letter_id, "limit": 1}).one_or_none()
    return None if row is None else dict(row._mapping)


def revive(connection: Connection, letter_id: int) -> bool:
    """Let it be delivered again; answers whether it was there."""
    return connection.exec_driver_sql(_REVIVE, {"id": letter_id}).one_or_none() is not None


def delete(connection: Connection, wanted: LetterFilter) -> int:
    """Remove those that match; answers how many."""
    conditions, parameters = _conditions(wanted)
    return connection.exec_driver_sql(_DELETE.format(conditions=conditions), parameters).rowcount


def delete_one(connection: Connection, letter_id: int) -> bool:
    """Remove one of them; answers whether it was there."""
    return connection.exec_driver_sql(_DELETE.format(conditions="id = %(id)s"), {"id": letter_id}).rowcount == 1


def delete_old(connection: Connection, *, days: int) -> int:
    """Remove those that died so long ago; answers how many."""
    statement = _DELETE.format(conditions="died_at < now() - %(days)s * interval '1 day'")
    return connection.exec_driver_sql(statement, {"days": days}).rowcount


def _conditions(wanted: LetterFilter) -> tuple[str, dict[str, Any]]:
    narrowing = {
        "queue = %(queue)s": wanted.queue,
        "dead_reason = %(reason)s": wanted.reason,
        "function_id = %(function_id)s": wanted.function_id,
    }
    where: Sequence[str] = [condition for condition, value in narrowing.items() if value is not None]
    parameters = {"queue": wanted.queue, "reason": wanted.reason, "function_id": wanted.function_id}
    return " AND ".join(where) or "true", parameters
