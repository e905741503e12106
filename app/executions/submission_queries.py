"""The statements by which executions are accepted. Each is one round trip and one transaction, and is put together of
the parts that a submission needs: one without a key and without a time pays for neither.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection

from app.accounts.domain import Principal
from app.accounts.sharing import viewer, visible
from app.broker import addressed_to, statements
from app.executions.domain import Batch, Key, Submission, Terms

#: Stands in the payload of a batch's messages where each names its own execution. No correlation id has a space.
EACH = "each execution"

#: For how long a request is known by its key.
KEY_HOURS = 24

_ONE = "(VALUES (1, %(id)s::uuid, %(input)s::text)) AS one (place, id, input)"
_MANY = "unnest(%(ids)s::uuid[], %(inputs)s::text[]) WITH ORDINALITY AS one (id, input, place)"

_LIVES_ON = f"created_at >= now() - interval '{KEY_HOURS} hours'"

#: Before anything is accepted: the key of the request, where it is not taken. Who comes second waits for the first to
#: commit.
_CLAIM_KEY = f"""known AS (
    INSERT INTO idempotency_keys AS key (user_id, key, digest, execution_ids, created_at)
    SELECT %(viewer_id)s, %(key_text)s, %(key_digest)s, array_agg(id ORDER BY place), now() FROM ready
    HAVING count(*) > 0
    ON CONFLICT (user_id, key) DO UPDATE
    SET digest = excluded.digest, execution_ids = excluded.execution_ids, created_at = excluded.created_at
    WHERE NOT (key.{_LIVES_ON})
    RETURNING true
), """

#: The versions that an alias means, chosen anew for every place and before anything else is looked for: were it a
#: condition, there would be another choice for every version that is compared.
_CHOOSE = """chosen AS MATERIALIZED (
    SELECT place, CASE WHEN random() < CASE WHEN next_weight > 1 THEN next_weight / 100 ELSE next_weight END
                       THEN next_version ELSE version END AS number
    FROM {source} CROSS JOIN aliases WHERE function_id = %(function_id)s AND name = %(alias)s
), """

FIND_KEY = f"""
SELECT digest, execution_ids FROM idempotency_keys
WHERE user_id = %(viewer_id)s AND key = %(key)s AND {_LIVES_ON}
"""

FORGET_KEYS = f"""
DELETE FROM idempotency_keys WHERE (user_id, key) IN (
    SELECT user_id, key FROM idempotency_keys WHERE NOT ({_LIVES_ON}) ORDER BY created_at LIMIT %(limit)s
)
"""


class Accepted(NamedTuple):
    """What the database decided of an execution."""

    version: int
    created_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class _Shape:
    """What a statement has to do."""

    is_batch: bool
    by_alias: bool
    is_timed: bool
    has_key: bool

    @classmethod
    def of(cls, terms: Terms) -> "_Shape":
        """What these terms take."""
        return cls(isinstance(terms, Batch), terms.alias is not None, terms.is_timed, terms.key is not None)

    @property
    def ready(self) -> str:
        """What is to be accepted; nothing where there is no such version that is READY."""
        chosen = "JOIN chosen ON chosen.place = one.place" if self.by_alias else ""
        number = "chosen.number" if self.by_alias else "coalesce(%(version)s, function.active_version)"
        return f"""
    SELECT one.place, one.id, one.input, function.id AS function_id, version.number
    FROM functions AS function CROSS JOIN {self.source} {chosen}
    JOIN versions AS version ON version.function_id = function.id AND version.number = {number}
    WHERE function.id = %(function_id)s AND function.deleted_at IS NULL AND version.status = 'READY'
      AND version.retired_at IS NULL AND {visible("function")}"""

    @property
    def source(self) -> str:
        """The inputs with their ids."""
        return _MANY if self.is_batch else _ONE


@cache
def statement(shape: _Shape) -> str:
    """Accept executions and write their messages, all or none."""
    first, ready = _CHOOSE.format(source=shape.source) if shape.by_alias else "", f"({shape.ready}) AS ready"
    if shape.has_key:
        first += f"ready AS MATERIALIZED ({shape.ready}), {_CLAIM_KEY}"
        ready = "ready WHERE EXISTS (SELECT FROM known)"
    begins = "greatest(%(not_before)s::timestamptz, now())"
    columns = ", not_before, expires_at" if shape.is_timed else ""
    values = f", %(not_before)s::timestamptz, {begins} + %(max_age)s::interval" if shape.is_timed else ""
    times = ", greatest(not_before, now()) AS ready_at" if shape.is_timed else ""
    payload = f"replace(%(payload)s, '{EACH}', id::text)" if shape.is_batch else "%(payload)s"
    return f"""
WITH {first}accepted AS (
    INSERT INTO executions (
        id, function_id, version, status, input, attempts, trigger, correlation_id, caller_id, priority, waiter,
        replay_of, created_at{columns}
    )
    SELECT id, function_id, number, 'PENDING', input::json, 0, %(trigger)s, %(correlation_id)s, %(viewer_id)s,
           %(level)s, %(waiter)s, %(replay_of)s::uuid, now(){values}
    FROM {ready}{" ORDER BY place" if shape.is_batch else ""}
    RETURNING id AS execution_id, function_id, version, created_at, expires_at, {payload}::json AS payload{times}
), {statements.PUBLISH_ACCEPTED_TIMED if shape.is_timed else statements.PUBLISH_ACCEPTED}
SELECT {"count(*) AS accepted" if shape.is_batch else "version, created_at, expires_at"},
       (SELECT count(*) FROM woken) AS woken
FROM accepted
"""


def submit(
    connection: Connection, principal: Principal, submission: Submission, *, queue: str, priority: int, payload: str
) -> Accepted | None:
    """Accept an execution; None where there is no such version that is READY, or the key is taken."""
    parameters = _parameters(principal, submission, queue=queue, priority=priority, payload=payload)
    parameters |= {"id": submission.id, "input": submission.input, "waiter": submission.waiter}
    row = connection.exec_driver_sql(
        statement(_Shape.of(submission)), parameters | {"replay_of": submission.replay_of}
    ).one_or_none()
    return None if row is None else Accepted(row.version, row.created_at, row.expires_at)


def submit_batch(
    connection: Connection, principal: Principal, batch: Batch, *, queue: str, priority: int, payload: str
) -> bool:
    """Accept many executions, in order; False where `submit` answers None. In `payload`, `EACH` stands for an
    execution's id.
    """
    parameters = _parameters(principal, batch, queue=queue, priority=priority, payload=payload)
    parameters |= {"ids": batch.ids, "inputs": batch.inputs, "waiter": None, "replay_of": None}
    return bool(connection.exec_driver_sql(statement(_Shape.of(batch)), parameters).one().accepted)


def find_key(connection: Connection, principal: Principal, key: str) -> tuple[bytes, Sequence[UUID]] | None:
    """The digest of the request with this key, and the executions that it made."""
    parameters = {"viewer_id": principal.user_id, "key": key}
    row = connection.exec_driver_sql(FIND_KEY, parameters).one_or_none()
    return None if row is None else (row.digest, row.execution_ids)


def forget_keys(connection: Connection, *, limit: int) -> int:
    """Remove keys that nobody is known by any more; answers how many."""
    return connection.exec_driver_sql(FORGET_KEYS, {"limit": limit}).rowcount


def _parameters(principal: Principal, terms: Terms, *, queue: str, priority: int, payload: str) -> dict[str, Any]:
    key = terms.key or Key("", b"")
    return (
        viewer(principal)
        | addressed_to(queue)
        | {
            "function_id": terms.function_id,
            "version": terms.version,
            "alias": terms.alias,
            "trigger": terms.trigger,
            "correlation_id": terms.correlation_id,
            "level": terms.priority,
            "not_before": terms.not_before,
            "max_age": terms.max_age,
            "key_text": key.text,
            "key_digest": key.digest,
            "priority": priority,
            "payload": payload,
        }
    )
