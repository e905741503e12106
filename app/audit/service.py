"""The verbs of the audit: record, list, keep."""

from collections.abc import Sequence
from datetime import date
from typing import Final
from uuid import UUID

from sqlalchemy import Connection
from sqlalchemy.orm import Session

from app.audit import queries
from app.audit.domain import Act, Actor, Event, EventFilter
from app.platform import Platform

#: For how long events are kept.
KEPT_DAYS: Final = 400


def record(session: Session, actor: Actor, act: Act) -> None:
    """Write an act in the transaction that does it, so that neither is there without the other."""
    queries.record(session.connection(), actor, act)


def record_alone(platform: Platform, actor: Actor, act: Act) -> None:
    """Write an act that nothing was done by: it was refused."""
    with platform.database.statement() as connection:
        queries.record(connection, actor, act)


def page(platform: Platform, wanted: EventFilter, *, before: UUID | None, limit: int) -> Sequence[Event]:
    """The newest matching events before an id."""
    with platform.database.statement() as connection:
        return queries.page(connection, wanted, before=before, limit=limit)


def keep(connection: Connection, *months: date) -> None:
    """Drop what is older than is kept, and make the partitions of these months, which may fail and come again."""
    queries.drop_partitions(connection, kept_days=KEPT_DAYS)
    for month in months:
        queries.create_partition(connection, month)
