"""Statements by which executions are read: one, their attempts, pages of them, and which have ended."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from app.accounts.domain import Principal
from app.accounts.sharing import viewer, visible
from app.executions.domain import Attempt, Execution, Filter, Status

LISTED = (
    "id, function_id, version, status, attempts, trigger, correlation_id, created_at, error_type, error_message, "
    "error_location, duration_ms, fuel_used, memory_peak_bytes, environment_revision, "
    "caller_id, priority, not_before, expires_at, replay_of, progress, started_at, completed_at"
)
WHOLE = f"{LISTED}, input::text, output::text, logs"

FIND = f"SELECT {WHOLE} FROM executions WHERE id = %(id)s"

#: Of functions that are not deleted and that a user may see.
_IS_VISIBLE = f"""EXISTS (
    SELECT FROM functions AS function
    WHERE function.id = executions.function_id AND function.deleted_at IS NULL AND {visible("function")}
)"""

FIND_VISIBLE = f"{FIND} AND {_IS_VISIBLE}"

#: Which of these have ended, executions or verifications: the second look of whoever waits.
ENDED = """
SELECT id FROM executions WHERE id = ANY(%(ids)s) AND completed_at IS NOT NULL
UNION ALL SELECT verification_id FROM versions WHERE verification_id = ANY(%(ids)s) AND verified_at IS NOT NULL
"""

#: The latest attempt is the execution itself, once one has begun and where it was not given back since.
ATTEMPTS = f"""
SELECT earlier_attempts, CASE WHEN started_at IS NOT NULL AND attempts > 0 THEN jsonb_build_object(
    'attempt', attempts, 'status', status, 'error_type', error_type, 'error_message', error_message,
    'error_location', error_location, 'duration_ms', duration_ms, 'worker', worker,
    'started_at', started_at, 'completed_at', completed_at
) END AS latest
FROM executions WHERE id = %(id)s AND {_IS_VISIBLE}
"""


def find(connection: Connection, execution_id: UUID) -> Execution | None:
    """One execution, whole, and be its function deleted."""
    row = connection.exec_driver_sql(FIND, {"id": execution_id}).one_or_none()
    return None if row is None else _execution(row._mapping)


def find_visible(connection: Connection, principal: Principal, execution_id: UUID) -> Execution | None:
    """One execution, whole, if it is of a function that is there for a user."""
    row = connection.exec_driver_sql(FIND_VISIBLE, viewer(principal) | {"id": execution_id}).one_or_none()
    return None if row is None else _execution(row._mapping)


def attempts_of(connection: Connection, principal: Principal, execution_id: UUID) -> list[Attempt] | None:
    """The attempts at an execution, the first one first; None where it is not there for a user."""
    row = connection.exec_driver_sql(ATTEMPTS, viewer(principal) | {"id": execution_id}).one_or_none()
    if row is None:
        return None
    return [Attempt.of(one) for one in [*(row.earlier_attempts or ()), row.latest] if one is not None]


def ended(connection: Connection, execution_ids: Sequence[UUID]) -> set[UUID]:
    """Which of these have ended."""
    return set(connection.exec_driver_sql(ENDED, {"ids": list(execution_ids)}).scalars())


def page(
    connection: Connection, principal: Principal, wanted: Filter, *, before: UUID | None, limit: int
) -> list[Execution]:
    """The newest executions before an id that match and that a user may see, without input, output and logs."""
    where, parameters = conditions(principal, wanted)
    if before is not None:
        where += " AND executions.id < %(before)s"
    statement = f"SELECT {LISTED} FROM executions WHERE {where} ORDER BY id DESC LIMIT %(limit)s"
    rows = connection.exec_driver_sql(statement, parameters | {"before": before, "limit": limit})
    return [_execution(row._mapping) for row in rows]


def conditions(principal: Principal, wanted: Filter) -> tuple[str, dict[str, Any]]:
    """What holds for the rows of `executions` that match and that a user may see, and its parameters."""
    narrowing = {
        "executions.function_id = %(function_id)s": wanted.function_id,
        "executions.status = %(status)s": wanted.status,
        "executions.error_type = %(error_type)s": wanted.error_type,
        "executions.version = %(version)s": wanted.version,
        "executions.correlation_id = %(correlation_id)s": wanted.correlation_id,
        "executions.created_at >= %(since)s": wanted.since,
        "executions.created_at < %(until)s": wanted.until,
    }
    where = [_IS_VISIBLE, *(condition for condition, value in narrowing.items() if value is not None)]
    return " AND ".join(where), viewer(principal) | asdict(wanted)


def _execution(row: Any) -> Execution:
    return Execution(**{**row, "status": Status(row["status"])})
