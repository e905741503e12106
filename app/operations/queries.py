"""Statements on the broker's tables, for people, and on what upkeep tends."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from sqlalchemy import Connection

QUEUES = """
SELECT queue.name,
       count(*) FILTER (WHERE state = 'ready') AS ready,
       count(*) FILTER (WHERE state = 'delayed') AS delayed,
       count(*) FILTER (WHERE state = 'leased') AS leased,
       count(*) FILTER (WHERE state = 'dead') AS dead,
       extract(epoch FROM now() - min(enqueued_at) FILTER (WHERE state = 'ready')) AS oldest_age_seconds,
       (SELECT count(*) FROM broker.consumers
        WHERE queue.name = ANY(queues) AND seen_at > now() - interval '15 seconds') AS consumers
FROM unnest(%(names)s::text[]) AS queue (name)
LEFT JOIN broker.messages ON messages.queue = queue.name
GROUP BY queue.name
ORDER BY queue.name
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
SELECT id, queue, state, priority, deliveries, losses, holder, function_id, execution_id,
       payload->'headers'->>'task' AS task, payload->'headers'->>'correlation' AS correlation_id, enqueued_at,
       extract(epoch FROM now() - enqueued_at) AS age_seconds,
       CASE WHEN state = 'leased' THEN ready_at END AS leased_until
FROM broker.messages
WHERE queue = %(queue)s AND (%(after)s::bigint IS NULL OR id > %(after)s)
ORDER BY id
LIMIT %(limit)s
"""

CONSUMED = """
SELECT DISTINCT unnest(queues) FROM broker.consumers WHERE seen_at > now() - interval '15 seconds'
"""

REVISION = "SELECT version_num FROM alembic_version"

CREATE_PARTITION = "SELECT create_executions_partition(%(month)s)"

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


def revision(connection: Connection) -> str | None:
    """The migration that the database is at."""
    value: str | None = connection.exec_driver_sql(REVISION).scalar_one_or_none()
    return value


def create_partition(connection: Connection, month: date) -> None:
    """Make the executions' partition of a month if it is missing."""
    connection.exec_driver_sql(CREATE_PARTITION, {"month": month})


def purge_executions(connection: Connection, *, limit: int) -> int:
    """Delete some executions of deleted functions; answers how many."""
    return connection.exec_driver_sql(PURGE_EXECUTIONS, {"limit": limit}).rowcount


def purge_functions(connection: Connection) -> int:
    """Delete functions whose executions have gone."""
    return connection.exec_driver_sql(PURGE_FUNCTIONS).rowcount


def purge_artifacts(connection: Connection) -> int:
    """Delete artifacts that no version uses."""
    return connection.exec_driver_sql(PURGE_ARTIFACTS).rowcount
