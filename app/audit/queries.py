"""Statements on audit events: to write one, to read them, to have months made and dropped. There is none to change."""

from collections.abc import Sequence
from datetime import date
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Connection

from app.audit.domain import Act, Actor, Event, EventFilter, Outcome, Via
from app.identity import new_id

RECORD = """
INSERT INTO audit_events (
    id, at, actor_id, actor, via, credential_id, address, correlation_id, action, resource_id, outcome, before, after
)
VALUES (
    %(id)s, now(), %(user_id)s, %(name)s, %(via)s, %(credential_id)s, %(address)s, %(correlation_id)s, %(action)s,
    %(resource_id)s, %(outcome)s, %(before)s::jsonb, %(after)s::jsonb
)
"""

_LONGEST_RESOURCE = 300

LISTED = (
    "id, at, actor_id, actor, via, credential_id, address, correlation_id, action, resource_id, outcome, before, after"
)


def record(connection: Connection, actor: Actor, act: Act) -> None:
    """Write one act."""
    parameters = {
        "id": new_id(),
        "user_id": actor.user_id,
        "name": actor.name,
        "via": actor.via,
        "credential_id": actor.credential_id,
        "address": actor.address,
        "correlation_id": actor.correlation_id,
        "action": act.action,
        "resource_id": None if act.resource_id is None else _text(act.resource_id),
        "outcome": act.outcome,
        "before": _json(act.before),
        "after": _json(act.after),
    }
    connection.exec_driver_sql(RECORD, parameters)


def _text(value: object) -> str:
    """What a refused address has named may be anything; PostgreSQL keeps no NUL."""
    return str(value).replace("\0", "\N{REPLACEMENT CHARACTER}")[:_LONGEST_RESOURCE]


def page(connection: Connection, wanted: EventFilter, *, before: UUID | None, limit: int) -> Sequence[Event]:
    """The newest matching events before an id. An action that ends with `*` means all that begin so."""
    conditions = {
        "(actor_id::text = %(actor)s OR actor = %(actor)s)": wanted.actor,
        "action LIKE %(action)s": wanted.action,
        "resource_id = %(resource)s": wanted.resource,
        "outcome = %(outcome)s": wanted.outcome,
        "at >= %(since)s": wanted.since,
        "at < %(until)s": wanted.until,
        "id < %(before)s": before,
    }
    parameters: dict[str, Any] = {
        "actor": wanted.actor,
        "action": None if wanted.action is None else _pattern(wanted.action),
        "resource": wanted.resource,
        "outcome": wanted.outcome,
        "since": wanted.since,
        "until": wanted.until,
        "before": before,
        "limit": limit,
    }
    where = " AND ".join(["true", *(condition for condition, value in conditions.items() if value is not None)])
    statement = f"SELECT {LISTED} FROM audit_events WHERE {where} ORDER BY id DESC LIMIT %(limit)s"
    return [_event(row._mapping) for row in connection.exec_driver_sql(statement, parameters)]


def create_partition(connection: Connection, month: date) -> None:
    """Make the partition of a month if it is missing, with what came before it did and lay in the default one."""
    connection.exec_driver_sql("SELECT create_audit_partition(%(month)s)", {"month": month})


def drop_partitions(connection: Connection, *, kept_days: int) -> int:
    """Drop the months that lie wholly before so many days; answers how many."""
    return int(
        connection.exec_driver_sql("SELECT drop_audit_partitions(%(kept_days)s)", {"kept_days": kept_days}).scalar_one()
    )


def _pattern(action: str) -> str:
    escaped = action.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"{escaped.removesuffix('*')}%" if escaped.endswith("*") else escaped


def _json(value: Any) -> str | None:
    # A NUL cannot be kept as JSON, and what is refused may have any.
    return None if value is None else orjson.dumps(value, default=str).decode().replace("\\u0000", "\\ufffd")


def _event(row: Any) -> Event:
    return Event(**{**row, "via": Via(row["via"]), "outcome": Outcome(row["outcome"])})
