"""Statements on versions."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, func, select, text, update
from sqlalchemy.orm import Session, defer

from app.functions.models import Function, Version

#: What no list shows of a version, and what may be long.
IN_A_LIST = defer(Version.source, raiseload=True), defer(Version.compile_log, raiseload=True)


def lock(session: Session, function_id: UUID, number: int) -> Version | None:
    """One version, locked for the transaction; none when its function is deleted."""
    statement = (
        select(Version)
        .join(Function, Function.id == Version.function_id)
        .where(Version.function_id == function_id, Version.number == number, Function.deleted_at.is_(None))
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
        .where(Version.function_id == function_id, Function.deleted_at.is_(None))
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
    """Make a version the active one unless a newer one already is."""
    session.execute(
        update(Function)
        .where(Function.id == function_id, func.coalesce(Function.active_version, 0) < number)
        .values(active_version=number, updated_at=now)
    )
