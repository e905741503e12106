"""Statements by which executions that were accepted go on and end. Those of the hot path (BEGIN, FINISH, and
FINISH_GROUP for many at once) are one round trip and one transaction each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson
import psycopg
from sqlalchemy import Connection

from app.broker import Delivery, statements
from app.broker.delivery import held
from app.executions.domain import Finish

#: An input up to this size travels with the claim; a larger one is fetched by the worker.
CARRIED_INPUT_BYTES = 8192

#: PostgreSQL takes 8000 bytes in a notification; a larger result is fetched by whoever waits for it.
NOTIFIED_BYTES = 7900

#: What is executed most: the artifacts that active versions share, which are few and large, then those of the latest
#: executions, most frequent first.
MOST_USED = """
SELECT digest FROM (
    SELECT version.artifact_digest AS digest, NULL AS times
    FROM versions AS version
    JOIN functions AS function ON function.id = version.function_id AND function.active_version = version.number
    WHERE version.layer_digest IS NOT NULL AND function.deleted_at IS NULL
    UNION ALL
    SELECT version.artifact_digest, 1
    FROM (SELECT function_id, version FROM executions ORDER BY id DESC LIMIT 10000) AS execution
    JOIN versions AS version ON version.function_id = execution.function_id AND version.number = execution.version
    WHERE version.artifact_digest IS NOT NULL
) AS used
GROUP BY digest ORDER BY bool_or(times IS NULL) DESC, sum(times) DESC NULLS LAST LIMIT %(most)s
"""


def most_used(connection: Connection, *, most: int) -> list[str]:
    """The digests of the artifacts that were executed most lately."""
    return list(connection.exec_driver_sql(MOST_USED, {"most": most}).scalars())


def _with_past(error_type: str, *, message: str = "NULL", location: str = "NULL", duration: str = "NULL") -> str:
    """All attempts, the one that has just ended among them."""
    return f"""coalesce(execution.earlier_attempts, '[]') || jsonb_build_object(
        'attempt', execution.attempts, 'error_type', {error_type}, 'error_message', {message}::text,
        'error_location', {location}::text, 'duration_ms', {duration}::double precision, 'worker', execution.worker,
        'started_at', execution.started_at, 'completed_at', now()
    )"""


#: Runs inside the claim (see `app.broker`): marks the attempt and brings along what the worker needs, so that it asks
#: for nothing more. An execution that has already ended brings nothing along.
BEGIN = f"""
UPDATE executions AS execution
SET status = 'RUNNING', started_at = now(), attempts = attempts + 1, worker = broker.node_of(claimed.holder),
    progress = NULL,
    earlier_attempts = CASE WHEN execution.status = 'RUNNING' THEN {_with_past("'WORKER_LOST'")}
                            ELSE execution.earlier_attempts END,
    environment_revision = CASE WHEN function.environment_id IS NOT NULL
        THEN (SELECT given.revision FROM environments AS given WHERE given.id = function.environment_id) END
FROM claimed
JOIN functions AS function ON function.id = claimed.function_id
JOIN versions AS version ON version.function_id = function.id
WHERE execution.id = claimed.execution_id AND execution.status IN ('PENDING', 'RUNNING')
  AND version.number = execution.version
RETURNING claimed.id AS message_id, json_build_object(
    'function_id', function.id, 'version', version.number, 'artifact', version.artifact_digest,
    'layer', version.layer_digest,
    'timeout_ms', function.timeout_ms, 'memory_mb', function.memory_mb,
    'attempt', execution.attempts, 'correlation_id', execution.correlation_id,
    'awaited', execution.waiter IS NOT NULL, 'priority', claimed.priority, 'rank', claimed.rank, 'gated', claimed.gated,
    'retry', function.retry, 'retries', execution.retries,
    'environment', function.environment_id, 'environment_revision', execution.environment_revision,
    'input', CASE WHEN octet_length(execution.input::text) <= {CARRIED_INPUT_BYTES} THEN execution.input::text END
) AS carried
"""

#: Write the end of an execution, delete its message and tell whoever waits. A lost lease deletes nothing and so changes
#: nothing; an attempt that is not the latest, because the execution had a second message, deletes its own and no more.
FINISH = f"""
WITH settled AS ({statements.SETTLE}), finished AS (
    UPDATE executions AS execution
    SET status = %(status)s, output = %(output)s, error_type = %(error_type)s, error_message = %(error_message)s,
        error_location = %(error_location)s, logs = %(logs)s, duration_ms = %(duration_ms)s, fuel_used = %(fuel_used)s,
        memory_peak_bytes = %(memory_peak_bytes)s, completed_at = now(),
        environment_revision = coalesce(%(environment_revision)s, environment_revision)
    FROM settled
    WHERE execution.id = %(execution_id)s AND execution.status = 'RUNNING' AND execution.attempts = %(attempt)s
    RETURNING execution.id, waiter, json_build_object(
        'id', execution.id, 'status', status, 'output', output::text, 'logs', logs,
        'error_type', error_type, 'error_message', error_message, 'error_location', error_location,
        'duration_ms', duration_ms, 'fuel_used', fuel_used, 'memory_peak_bytes', memory_peak_bytes,
        'environment_revision', environment_revision, 'attempts', attempts, 'progress', progress,
        'started_at', started_at, 'completed_at', completed_at
    )::text AS result
)
SELECT (SELECT count(*) FROM settled) AS settled, count(*) AS finished,
       count(pg_notify(
           waiter,
           CASE WHEN octet_length(result) <= {NOTIFIED_BYTES} THEN result ELSE json_build_object('id', id)::text END
       )) FILTER (WHERE waiter IS NOT NULL) AS notified
FROM finished
"""

#: Give an execution back for another attempt, and write what became of this one.
AGAIN = f"""
WITH {statements.RELEASING}, again AS (
    UPDATE executions AS execution
    SET status = 'PENDING', started_at = NULL, retries = retries + %(retried)s,
        earlier_attempts = {
    _with_past(
        "%(error_type)s::text", message="%(error_message)s", location="%(error_location)s", duration="%(duration_ms)s"
    )
}
    FROM released
    WHERE execution.id = %(execution_id)s AND execution.status = 'RUNNING' AND execution.attempts = %(attempt)s
    RETURNING execution.id
)
SELECT (SELECT count(*) FROM released) AS settled, count(*) AS again FROM again
"""

#: Write the ends of executions that nobody waits for, each guarded by its own lease, and take more of them along for
#: their worker (see `app.broker`). One without a status has nothing to write: only its message goes.
FINISH_GROUP = f"""
WITH ended AS (
    SELECT * FROM json_to_recordset(%(ended)s::json) AS ended (
        message_id bigint, token integer, execution_id uuid, attempt integer, status text, output text, error_type text,
        error_message text, error_location text, logs text, duration_ms double precision, fuel_used bigint,
        memory_peak_bytes bigint, environment_revision integer
    )
), settled AS (
    DELETE FROM broker.messages AS message USING ended
    WHERE message.id = ended.message_id AND message.token = ended.token AND message.holder IS NOT NULL
    RETURNING message.id
), finished AS (
    UPDATE executions AS execution
    SET status = ended.status, output = ended.output::json, error_type = ended.error_type,
        error_message = ended.error_message, error_location = ended.error_location, logs = ended.logs,
        duration_ms = ended.duration_ms, fuel_used = ended.fuel_used, memory_peak_bytes = ended.memory_peak_bytes,
        environment_revision = coalesce(ended.environment_revision, execution.environment_revision),
        completed_at = now()
    FROM settled JOIN ended ON ended.message_id = settled.id
    WHERE execution.id = ended.execution_id AND execution.status = 'RUNNING' AND execution.attempts = ended.attempt
      AND ended.status IS NOT NULL
    RETURNING settled.id
), {statements.TAKE_ALONG}, begun AS ({BEGIN})
SELECT (SELECT array_agg(id) FROM settled) AS settled, (SELECT array_agg(id) FROM finished) AS finished,
       (SELECT json_agg(json_build_array(execution_id, id, token, deliveries, losses, carried) ORDER BY id)
        FROM claimed LEFT JOIN begun ON begun.message_id = claimed.id) AS taken
"""

#: What was taken along and not begun, or stopped so that others need not wait for it, is as it was before: only first
#: attempts are taken along.
GIVE_BACK = f"""
WITH {statements.GIVE_BACK}, undone AS (
    UPDATE executions AS execution SET status = 'PENDING', started_at = NULL, attempts = attempts - 1, progress = NULL,
        environment_revision = NULL
    FROM returned
    WHERE execution.id = returned.execution_id AND execution.status = 'RUNNING' AND execution.attempts = 1
)
SELECT count(*) FROM returned
"""

#: Runs where messages die (see `app.broker`): ends their executions, and tells whoever waits.
LOST = """
UPDATE executions AS execution
SET status = 'FAILED', completed_at = now(), started_at = coalesce(started_at, now()),
    error_type = CASE dead_reason WHEN 'worker_lost' THEN 'WORKER_LOST' ELSE 'INFRASTRUCTURE' END,
    error_message = CASE dead_reason
        WHEN 'worker_lost' THEN format('the execution took its worker down %%s times', losses)
        ELSE 'the platform failed to run this; the operators'' logs say why' END
FROM buried
WHERE execution.id = buried.execution_id AND execution.status IN ('PENDING', 'RUNNING')
RETURNING pg_notify(coalesce(waiter, 'kiln_nobody'), json_build_object('id', execution.id)::text)
"""

#: Runs where a worker that stops gives back what it could not end (see `app.broker`): that was no attempt.
RELEASED = """
UPDATE executions AS execution SET status = 'PENDING', started_at = NULL, attempts = attempts - 1, progress = NULL,
    environment_revision = NULL
FROM released
WHERE execution.id = released.execution_id AND execution.status = 'RUNNING'
"""

#: Write how far an attempt has come, unless something newer is written.
PROGRESS = """
UPDATE executions SET progress = %(progress)s::jsonb
WHERE id = %(execution_id)s AND status = 'RUNNING' AND attempts = %(attempt)s
  AND coalesce(progress ->> 'at' < %(progress)s::jsonb ->> 'at', true)
"""

#: Runs where the time of messages is over (see `app.broker`): ends their executions, and tells whoever waits.
EXPIRED = """
UPDATE executions AS execution
SET status = 'FAILED', completed_at = now(), error_type = 'EXPIRED',
    error_message = CASE attempts WHEN 0 THEN 'no worker took it before ' ELSE 'no retry began before ' END
        || to_char(execution.expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
FROM expired
WHERE execution.id = expired.execution_id AND execution.status IN ('PENDING', 'RUNNING')
RETURNING pg_notify(coalesce(waiter, 'kiln_nobody'), json_build_object('id', execution.id)::text)
"""

#: End everything of a function that has not ended, and tell whoever waits.
CANCEL_ALL = """
WITH cancelled AS (
    UPDATE executions SET status = 'CANCELLED', completed_at = now()
    WHERE function_id = %(function_id)s AND status IN ('PENDING', 'RUNNING')
    RETURNING id, waiter
)
SELECT count(*) AS cancelled,
       count(pg_notify(waiter, json_build_object('id', id)::text)) FILTER (WHERE waiter IS NOT NULL) AS notified
FROM cancelled
"""

#: End one that has not ended, take its message away from whoever has it, and tell whoever waits. The message comes
#: first, as in every other statement, so that none waits for another in a circle.
CANCEL = """
WITH dropped AS (
    DELETE FROM broker.messages AS message USING executions AS execution
    WHERE execution.id = %(id)s AND message.function_id = execution.function_id
      AND message.execution_id = execution.id AND message.state <> 'dead'
    RETURNING message.id
), cancelled AS (
    UPDATE executions SET status = 'CANCELLED', completed_at = now()
    FROM (SELECT count(*) FROM dropped) AS before
    WHERE id = %(id)s AND status IN ('PENDING', 'RUNNING')
    RETURNING id, waiter
)
SELECT count(*) AS cancelled,
       count(pg_notify(waiter, json_build_object('id', id)::text)) FILTER (WHERE waiter IS NOT NULL) AS notified
FROM cancelled
"""

INPUT = "SELECT input::text FROM executions WHERE id = %(id)s"


@dataclass(frozen=True, slots=True)
class Claimed:
    """An execution in this worker's hands."""

    execution_id: UUID
    delivery: Delivery


def _members(value: Any) -> dict[str, Any]:
    """What a dataclass holds, by name. `asdict` copies each value too, which takes as long as the way to PostgreSQL."""
    return {name: getattr(value, name) for name in value.__dataclass_fields__}


def finish(connection: Connection, delivery: Delivery, execution_id: UUID, end: Finish) -> tuple[bool, bool]:
    """Write an end; answers whether the lease still held, and whether the execution was still running."""
    parameters = _members(end) | {
        "execution_id": execution_id,
        "message_id": delivery.message_id,
        "token": delivery.token,
        "attempt": delivery.carried and delivery.carried["attempt"],
    }
    row = connection.exec_driver_sql(FINISH, parameters).one()
    return bool(row.settled), bool(row.finished)


def again(
    connection: Connection, claimed: Claimed, end: Finish, *, delay_seconds: float, is_retry: bool
) -> tuple[bool, bool]:
    """Give an execution back for another attempt, a retry where the function failed; answers as `finish` does."""
    delivery = claimed.delivery
    parameters = _members(end) | {
        "execution_id": claimed.execution_id,
        "message_id": delivery.message_id,
        "token": delivery.token,
        "attempt": delivery.carried and delivery.carried["attempt"],
        "delay": timedelta(seconds=delay_seconds),
        "retried": int(is_retry),
        "time_goes_on": is_retry,
    }
    row = connection.exec_driver_sql(AGAIN, parameters).one()
    return bool(row.settled), bool(row.again)


def finish_group(
    connection: Connection, ended: Sequence[tuple[Claimed, Finish | None]], take: Mapping[str, Any]
) -> tuple[set[int], set[int], list[Claimed]]:
    """Write ends of executions that nobody waits for and take others along; answers the messages whose lease still
    held, those of them whose execution was still running, and what was taken.
    """
    rows = [_settled(claimed, end) for claimed, end in ended]
    parameters = {**take, "ended": orjson.dumps(rows).decode()}
    row = connection.exec_driver_sql(FINISH_GROUP, parameters).one()
    taken = [Claimed(UUID(execution_id), Delivery(*lease)) for execution_id, *lease in row.taken or ()]
    return set(row.settled or ()), set(row.finished or ()), taken


def _settled(claimed: Claimed, end: Finish | None) -> dict[str, Any]:
    written: dict[str, Any] = {} if end is None else _members(end)
    delivery = claimed.delivery
    return written | {
        "message_id": delivery.message_id,
        "token": delivery.token,
        "execution_id": claimed.execution_id,
        "attempt": delivery.carried and delivery.carried["attempt"],
    }


def give_back(connection: Connection, claimed: Sequence[Claimed]) -> None:
    """Undo claims; a lost lease is left alone."""
    connection.exec_driver_sql(GIVE_BACK, held([one.delivery for one in claimed]))


def cancel_all(connection: Connection, function_id: UUID) -> int:
    """End everything of a function that has not ended; answers how many."""
    return int(connection.exec_driver_sql(CANCEL_ALL, {"function_id": function_id}).one()[0])


def cancel(connection: Connection, execution_id: UUID) -> bool:
    """End one; answers whether it had not ended before."""
    return bool(connection.exec_driver_sql(CANCEL, {"id": execution_id}).one()[0])


def settle(connection: Connection, delivery: Delivery) -> None:
    """Delete a message that has nothing to say."""
    parameters = {"message_id": delivery.message_id, "token": delivery.token}
    connection.exec_driver_sql(statements.SETTLE, parameters)


def admit(connection: Connection) -> None:
    """Let messages through that have waited for others to end."""
    connection.exec_driver_sql(statements.ADMIT)


def notify(connection: Connection, channel: str) -> None:
    """Notify a channel of nothing in particular."""
    connection.exec_driver_sql("SELECT pg_notify(%(channel)s, '')", {"channel": channel})


def tell_progress(connection: "psycopg.Connection[Any]", claimed: Claimed, progress: Mapping[str, Any]) -> None:
    """Write how far an attempt has come, over psycopg's own connection; one that has ended is left alone."""
    attempt = claimed.delivery.carried["attempt"]
    parameters = {"progress": orjson.dumps(progress).decode(), "execution_id": claimed.execution_id, "attempt": attempt}
    connection.execute(PROGRESS, parameters)


def input_of(connection: Connection, execution_id: UUID) -> str | None:
    """The input, as JSON text."""
    value: str | None = connection.exec_driver_sql(INPUT, {"id": execution_id}).scalar_one_or_none()
    return value
