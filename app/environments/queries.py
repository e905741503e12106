"""Statements on environments. OPEN is asked by workers' children."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, func, select, text
from sqlalchemy.orm import Session

from app.accounts.domain import Principal
from app.accounts.sharing import viewer, visible
from app.environments.domain import Wrapped
from app.environments.models import Entry, Environment

#: An environment with everything in it, as it is at one moment. One without entries is a row without a key.
OPEN = """
SELECT environment.revision, environment.master_key, environment.data_key,
       entry.key, entry.value, entry.sealed, entry.version
FROM environments AS environment LEFT JOIN environment_entries AS entry ON entry.environment_id = environment.id
WHERE environment.id = %(id)s
"""

#: The newest environments that somebody may see. There are few: administrators make them.
VISIBLE = f"""
SELECT id FROM environments AS environment
WHERE id < %(before)s AND {visible("environment")}
ORDER BY id DESC LIMIT %(limit)s
"""

#: Functions that are there and use an environment.
USED_BY = "SELECT id FROM functions WHERE environment_id = :id AND deleted_at IS NULL ORDER BY id LIMIT :limit"

#: How many data keys are wrapped by each master key.
WRAPPED_BY = "SELECT master_key, count(*) AS data_keys FROM environments GROUP BY master_key"

#: Data keys that are wrapped by one of these master keys, for a change; others go on reading them meanwhile.
TO_WRAP_AGAIN = """
SELECT id, master_key, data_key FROM environments WHERE master_key = ANY(%(master_keys)s)
LIMIT %(most)s FOR NO KEY UPDATE
"""

WRAP_AGAIN = """
UPDATE environments AS environment SET data_key = wrapped.data_key, master_key = %(master_key)s
FROM unnest(%(ids)s::uuid[], %(data_keys)s::bytea[]) AS wrapped (id, data_key)
WHERE environment.id = wrapped.id
"""

_LAST_ID = UUID(int=2**128 - 1)
_MOST_NAMED = 20


def find(session: Session, environment_id: UUID) -> Environment | None:
    """One environment, without locks."""
    return session.get(Environment, environment_id)


def lock(session: Session, environment_id: UUID) -> Environment | None:
    """The same, with other writers of it, and functions that begin to use it, kept out until the transaction ends."""
    statement = select(Environment).where(Environment.id == environment_id).with_for_update()
    return session.execute(statement).scalar_one_or_none()


def hold(session: Session, environment_id: UUID) -> Environment | None:
    """The same, kept from being deleted until the transaction ends."""
    statement = select(Environment).where(Environment.id == environment_id)
    return session.execute(statement.with_for_update(read=True, key_share=True)).scalar_one_or_none()


def page(session: Session, principal: Principal, *, before: UUID | None, limit: int) -> Sequence[Environment]:
    """The newest environments before an id that a user may see."""
    parameters = viewer(principal) | {"before": before or _LAST_ID, "limit": limit}
    ids = session.connection().exec_driver_sql(VISIBLE, parameters).scalars().all()
    statement = select(Environment).where(Environment.id.in_(ids)).order_by(Environment.id.desc())
    return session.execute(statement).scalars().all()


def keys(session: Session, environment_ids: Collection[UUID]) -> dict[UUID, list[tuple[str, bool]]]:
    """By environment, its keys in their order, each with whether it is a secret."""
    found: dict[UUID, list[tuple[str, bool]]] = {environment_id: [] for environment_id in environment_ids}
    statement = select(Entry.environment_id, Entry.key, Entry.sealed.is_not(None))
    for environment_id, key, is_secret in session.execute(statement.where(Entry.environment_id.in_(environment_ids))):
        found[environment_id].append((key, is_secret))
    return {environment_id: sorted(each) for environment_id, each in found.items()}


def entries(session: Session, environment_id: UUID) -> dict[str, Entry]:
    """The entries of an environment by their keys, in the order of these."""
    found = session.execute(select(Entry).where(Entry.environment_id == environment_id)).scalars()
    return {entry.key: entry for entry in sorted(found, key=lambda entry: entry.key)}


def name_is_taken(session: Session, name: str, *, by_other_than: UUID | None = None) -> bool:
    """Whether another environment has this name. A hint for a clear answer; the unique index decides."""
    statement = select(Environment.id).where(Environment.name == name)
    if by_other_than is not None:
        statement = statement.where(Environment.id != by_other_than)
    return session.execute(statement).first() is not None


def used_by(session: Session, environment_id: UUID) -> Sequence[UUID]:
    """The first of the functions that are there and use an environment."""
    return session.execute(text(USED_BY), {"id": environment_id, "limit": _MOST_NAMED}).scalars().all()


def now(session: Session) -> datetime:
    """The database's time at the beginning of the transaction."""
    moment: datetime = session.execute(select(func.now())).scalar_one()
    return moment


def open_rows(connection: Connection, environment_id: UUID) -> Sequence[Any]:
    """An environment with everything in it: a row for each entry, and none where there is no such environment."""
    return connection.exec_driver_sql(OPEN, {"id": environment_id}).all()


def wrapped_by(connection: Connection) -> dict[str, int]:
    """By master key, how many data keys it wraps."""
    return {row.master_key: row.data_keys for row in connection.exec_driver_sql(WRAPPED_BY)}


def to_wrap_again(session: Session, master_keys: Sequence[str], *, most: int) -> dict[UUID, Wrapped]:
    """By environment, some of the data keys that one of these master keys wraps, locked for the transaction."""
    parameters = {"master_keys": list(master_keys), "most": most}
    rows = session.connection().exec_driver_sql(TO_WRAP_AGAIN, parameters)
    return {row.id: Wrapped(row.master_key, bytes(row.data_key)) for row in rows}


def wrap_again(session: Session, master_key: str, data_keys: Mapping[UUID, bytes]) -> None:
    """Write data keys as another master key wraps them. For readers and writers of the environments nothing changes."""
    parameters = {"master_key": master_key, "ids": list(data_keys), "data_keys": list(data_keys.values())}
    session.connection().exec_driver_sql(WRAP_AGAIN, parameters)
