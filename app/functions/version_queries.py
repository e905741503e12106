"""Statements on versions."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Select, func, select, text, update
from sqlalchemy.orm import Session, defer

from app.functions.models import Alias, Function, Version

#: What no list shows of a version, and what may be long.
IN_A_LIST = defer(Version.source, raiseload=True), defer(Version.compile_log, raiseload=True)


def lock(session: Session, function_id: UUID, number: int) -> Version | None:
    """One version, locked for the transaction; none when its function is deleted."""
    statement = (
        select(Version)
        .join(Function, Function.id == Version.function_id)
        .where(
            Version.function_id == function_id,
            Version.number == number,
            Function.deleted_at.is_(None),
            Version.retired_at.is_(None),
        )
        .with_for_update(of=Version)
    )
    return session.execute(statement).scalar_one_or_none()


def page(session: Session, function_id: UUID, *, before: int | None, limit: int) -> Sequence[tuple[Version, bool]]:
    """The newest versions of a function whose number comes before `before`, each with whether it is the active one;
    without locks, and none when the function is deleted.
    """
    statement = _with_activity(function_id).order_by(Version.number.desc()).limit(limit).options(*IN_A_LIST)
    if before is not None:
        statement = statement.where(Version.number < before)
    return [(version, is_active) for version, is_active in session.execute(statement)]


def find(session: Session, function_id: UUID, number: int) -> tuple[Version, bool] | None:
    """One of them."""
    row = session.execute(_with_activity(function_id).where(Version.number == number)).one_or_none()
    return None if row is None else (row[0], row[1])


def _with_activity(function_id: UUID) -> Select[tuple[Version, bool]]:
    return (
        select(Version, func.coalesce(Function.active_version == Version.number, False))
        .join(Function, Function.id == Version.function_id)
        .where(Version.function_id == function_id, Function.deleted_at.is_(None), Version.retired_at.is_(None))
    )


def is_underway(session: Session, function_id: UUID, verification_id: UUID) -> bool:
    """Whether there is a message that asks for this verification."""
    statement = text(
        "SELECT EXISTS (SELECT FROM broker.messages WHERE function_id = :function_id AND state <> 'dead' "
        "AND strpos(payload::text, :verification_id) > 0)"
    )
    parameters = {"function_id": function_id, "verification_id": str(verification_id)}
    return bool(session.execute(statement, parameters).scalar_one())


def activate(session: Session, function_id: UUID, number: int, *, now: datetime) -> None:
    """Make a version the active one unless that is decided of it: by a newer one that is READY, or by whoever chose."""
    session.execute(
        update(Function)
        .where(Function.id == function_id, Function.decided_version < number)
        .values(active_version=number, decided_version=number, updated_at=now)
    )


def aliases(session: Session, function_id: UUID) -> Sequence[Alias]:
    """The aliases of a function by name."""
    return session.scalars(select(Alias).where(Alias.function_id == function_id).order_by(Alias.name)).all()


def alias(session: Session, function_id: UUID, name: str) -> Alias | None:
    """One of them."""
    return session.get(Alias, (function_id, name))


#: Functions that have more versions than are kept, and that nobody changes meanwhile.
CROWDED = """
SELECT id FROM functions
WHERE latest_version > %(kept)s AND EXISTS (
    SELECT FROM versions
    WHERE function_id = functions.id AND number <= latest_version - %(kept)s AND retired_at IS NULL
      AND status IN ('READY', 'FAILED') AND number IS DISTINCT FROM active_version
)
FOR UPDATE SKIP LOCKED
"""

#: A version that is active or named, or that somebody waits for, is not retired however old it is.
RETIRE = """
WITH waited_for AS MATERIALIZED (
    SELECT DISTINCT execution.function_id, execution.version AS number
    FROM broker.messages AS message JOIN executions AS execution ON execution.id = message.execution_id
    WHERE message.function_id = ANY(%(functions)s) AND message.state <> 'dead'
)
UPDATE versions SET retired_at = now()
FROM functions AS function
WHERE function.id = ANY(%(functions)s) AND versions.function_id = function.id
  AND number <= latest_version - %(kept)s AND retired_at IS NULL AND versions.status IN ('READY', 'FAILED')
  AND number IS DISTINCT FROM active_version
  AND NOT EXISTS (SELECT FROM aliases WHERE function_id = function.id AND number IN (version, next_version))
  AND NOT EXISTS (
    SELECT FROM waited_for WHERE waited_for.function_id = function.id AND waited_for.number = versions.number
  )
"""

#: Executions that were accepted while their version was retired hold it: they have a message.
FORGET = """
DELETE FROM versions AS version
WHERE retired_at < now() - interval '1 hour' AND NOT EXISTS (
    SELECT FROM broker.messages AS message JOIN executions AS execution ON execution.id = message.execution_id
    WHERE message.function_id = version.function_id AND execution.version = version.number
)
"""


def retire(connection: Connection, *, kept: int) -> int:
    """Take all but the last `kept` versions of every function, and those in use, out of use; answers how many. What was
    retired for an hour and has nothing waiting goes for good.
    """
    driver: Any = connection.connection.driver_connection
    with driver.transaction():
        # In a statement of its own, so that the next one sees what was named before these were locked.
        crowded = list(connection.exec_driver_sql(CROWDED, {"kept": kept}).scalars())
        retired = connection.exec_driver_sql(RETIRE, {"functions": crowded, "kept": kept}).rowcount
    connection.exec_driver_sql(FORGET)
    return retired
