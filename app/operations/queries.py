"""Statements on the broker's tables, for people, and on what upkeep tends."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from typing import Any

from sqlalchemy import Connection

from app.operations.domain import EventFilter

#: The view knows queues that have messages; the others are empty.
QUEUES = """
SELECT wanted.name, coalesce(ready, 0) AS ready, coalesce(delayed, 0) AS delayed, coalesce(leased, 0) AS leased,
       coalesce(dead, 0) AS dead, extract(epoch FROM oldest_waits) AS oldest_age_seconds,
       (SELECT count(*) FROM broker.consumers
        WHERE wanted.name = ANY(queues) AND seen_at > now() - interval '15 seconds') AS consumers
FROM unnest(%(names)s::text[]) AS wanted (name)
LEFT JOIN (
    SELECT queue, ready, delayed, leased, dead, oldest_waits FROM broker.queue_depth WHERE queue = ANY(%(names)s)
) AS depth ON queue = wanted.name
ORDER BY wanted.name
"""

#: What came and went in the last minute. Only executions accepted within a quarter of an hour are looked at, which
#: their ids tell.
FLOW = """
SELECT 'compile' AS name, count(*) FILTER (WHERE created_at > now() - interval '1 minute') AS arrived,
       count(*) FILTER (WHERE compiled_at > now() - interval '1 minute') AS departed
FROM versions WHERE created_at > now() - interval '15 minutes'
UNION ALL
SELECT 'execute', count(*) FILTER (WHERE created_at > now() - interval '1 minute'),
       count(*) FILTER (WHERE completed_at > now() - interval '1 minute')
FROM executions WHERE id > first_id_at(now() - interval '15 minutes')
"""

MESSAGES = """
SELECT id, queue, state, priority, deliveries, losses, broker.node_of(holder) AS holder, function_id, execution_id,
       headers ->> 'task' AS task, headers ->> 'correlation' AS correlation_id, enqueued_at,
       extract(epoch FROM now() - enqueued_at) AS age_seconds,
       CASE WHEN state = 'leased' THEN ready_at END AS leased_until
FROM broker.messages CROSS JOIN LATERAL (SELECT broker.readable(payload) -> 'headers') AS read (headers)
WHERE queue = %(queue)s AND id > coalesce(%(after)s::bigint, 0)
ORDER BY id
LIMIT %(limit)s
"""

CONSUMED = """
SELECT DISTINCT unnest(queues) FROM broker.consumers WHERE seen_at > now() - interval '15 seconds'
"""

REVISION = "SELECT version_num FROM alembic_version"

#: Who we are; `make up`'s own server has made a role that is no superuser.
SUPERUSER = "SELECT rolname FROM pg_roles WHERE rolname = current_user AND rolsuper"

CREATE_PARTITION = "SELECT create_executions_partition(%(month)s)"

CREATE_EVENTS_PARTITION = "SELECT broker.create_events_partition(%(day)s)"
DROP_EVENTS = "SELECT broker.drop_events_before(%(first_day)s)"

PRESENT_WORKERS = """
SELECT DISTINCT node FROM broker.consumers WHERE node IS NOT NULL AND seen_at > now() - interval '15 seconds'
"""

#: Every worker that was heard of: those that consume now, and those that only the kept events still know. Those of one
#: name are one line.
WORKERS = """
SELECT coalesce(consumer.node, heard.worker) AS name,
       coalesce(consumer.seen_at > now() - interval '15 seconds', false) AS online,
       coalesce(consumer.queues, '{}') AS queues, consumer.started_at,
       greatest(consumer.seen_at, heard.kept_at) AS seen_at,
       (heard.event ->> 'active')::integer AS active, (heard.event ->> 'processed')::bigint AS processed,
       (heard.event ->> 'pid')::integer AS pid, heard.event ->> 'sw_ver' AS celery_version,
       coalesce(held.leased, 0) AS leased
FROM (
    SELECT node, array_agg(DISTINCT queue) AS queues, max(started_at) AS started_at, max(seen_at) AS seen_at
    FROM broker.consumers CROSS JOIN unnest(queues) AS queue WHERE node IS NOT NULL GROUP BY node
) AS consumer
FULL JOIN (
    SELECT DISTINCT ON (worker) worker, kept_at, event FROM broker.events
    WHERE task_id IS NULL AND type LIKE 'worker-%%' AND kept_at > now() - interval '1 hour' ORDER BY worker, id DESC
) AS heard ON heard.worker = consumer.node
LEFT JOIN (
    SELECT node, sum(leased)::bigint AS leased FROM (
        SELECT holder, count(*) AS leased FROM broker.messages WHERE state = 'leased' GROUP BY holder
    ) AS by_holder JOIN broker.consumers ON name = holder
    GROUP BY node
) AS held ON held.node = consumer.node
ORDER BY name
"""

#: Executions of deleted functions, some at a time so that no lock is held for long.
PURGE_EXECUTIONS = """
DELETE FROM executions WHERE id IN (
    SELECT executions.id FROM functions JOIN executions ON executions.function_id = functions.id
    WHERE functions.deleted_at IS NOT NULL LIMIT %(limit)s
)
"""
PURGE_FUNCTIONS = """
DELETE FROM functions
WHERE deleted_at < now() - interval '1 minute' AND NOT EXISTS (SELECT FROM executions WHERE function_id = functions.id)
"""
PURGE_ARTIFACTS = """
DELETE FROM artifacts
WHERE created_at < now() - interval '1 hour' AND NOT EXISTS (SELECT FROM versions WHERE artifact_digest = digest)
"""
PURGE_LAYERS = """
DELETE FROM layers
WHERE created_at < now() - interval '1 hour' AND NOT EXISTS (SELECT FROM versions WHERE layer_digest = digest)
"""


def queues(connection: Connection, names: Sequence[str]) -> list[dict[str, Any]]:
    """Each queue's counts, also of one that is empty."""
    return [dict(row._mapping) for row in connection.exec_driver_sql(QUEUES, {"names": list(names)})]


def flow(connection: Connection) -> dict[str, tuple[int, int]]:
    """Arrived and left within the last minute, by queue."""
    return {row.name: (row.arrived, row.departed) for row in connection.exec_driver_sql(FLOW)}


def messages(connection: Connection, queue: str, *, after: int | None, limit: int) -> list[dict[str, Any]]:
    """The messages of a queue in the order they came, after an id."""
    rows = connection.exec_driver_sql(MESSAGES, {"queue": queue, "after": after, "limit": limit})
    return [dict(row._mapping) for row in rows]


def consumed_queues(connection: Connection) -> set[str]:
    """The queues that a living worker consumes."""
    return set(connection.exec_driver_sql(CONSUMED).scalars())


def superuser(connection: Connection) -> str | None:
    """The name of the role that we are, where it is a superuser."""
    name = connection.exec_driver_sql(SUPERUSER).scalar_one_or_none()
    return None if name is None else str(name)


def revision(connection: Connection) -> str | None:
    """The migration that the database is at."""
    value: str | None = connection.exec_driver_sql(REVISION).scalar_one_or_none()
    return value


def create_partition(connection: Connection, month: date) -> None:
    """Make the executions' partition of a month if it is missing."""
    connection.exec_driver_sql(CREATE_PARTITION, {"month": month})


def create_events_partition(connection: Connection, day: date) -> None:
    """Make the events' partition of a day if it is missing."""
    connection.exec_driver_sql(CREATE_EVENTS_PARTITION, {"day": day})


def drop_events(connection: Connection, first_day: date) -> int:
    """Drop the events of whole days before one; answers how many days."""
    return int(connection.exec_driver_sql(DROP_EVENTS, {"first_day": first_day}).scalar_one())


def present_workers(connection: Connection) -> set[str]:
    """The names of the workers that consume now."""
    return set(connection.exec_driver_sql(PRESENT_WORKERS).scalars())


def workers(connection: Connection) -> list[dict[str, Any]]:
    """The workers that were heard of within the hour."""
    return [dict(row._mapping) for row in connection.exec_driver_sql(WORKERS, {})]


def events(connection: Connection, wanted: EventFilter, *, before: int | None, limit: int) -> list[dict[str, Any]]:
    """The newest events before an id that match."""
    conditions = {
        "type LIKE %(type)s": wanted.type,
        "worker = %(worker)s": wanted.worker,
        "task_id = %(task_id)s": wanted.task_id,
        "kept_at >= %(since)s": wanted.since,
        "kept_at < %(until)s": wanted.until,
        "id < %(before)s": before,
    }
    where = " AND ".join(["true", *(condition for condition, value in conditions.items() if value is not None)])
    statement = f"SELECT id, kept_at, type, worker, task_id, event::text FROM broker.events WHERE {where}"
    parameters = asdict(wanted) | {"before": before, "limit": limit}
    rows = connection.exec_driver_sql(f"{statement} ORDER BY id DESC LIMIT %(limit)s", parameters)
    return [dict(row._mapping) for row in rows]


def purge_executions(connection: Connection, *, limit: int) -> int:
    """Delete some executions of deleted functions; answers how many."""
    return connection.exec_driver_sql(PURGE_EXECUTIONS, {"limit": limit}).rowcount


def purge_functions(connection: Connection) -> int:
    """Delete functions whose executions have gone."""
    return connection.exec_driver_sql(PURGE_FUNCTIONS).rowcount


def purge_artifacts(connection: Connection) -> int:
    """Delete artifacts and layers that no version uses."""
    purged = (connection.exec_driver_sql(statement).rowcount for statement in (PURGE_ARTIFACTS, PURGE_LAYERS))
    return sum(purged)
