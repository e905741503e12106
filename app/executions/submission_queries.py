"""The statements by which executions are accepted. Each is one round trip and one transaction, and is put together of
the parts that a submission needs: one without a key and without a time pays for neither.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection

from app.accounts.domain import Principal
from app.accounts.sharing import viewer, visible
from app.broker.publishing_statements import HEAD_NOW, PUBLISH_ACCEPTED, PUBLISH_ACCEPTED_TIMED
from app.executions.domain import Batch, Key, Submission, Terms
from app.limits import queries as limits
from app.limits.domain import Allowance, OutOfTurns, Standing, told

#: Stands in the payload of a batch's messages where each names its own execution. No correlation id has a space.
EACH = "each execution"

#: For how long a request is known by its key.
KEY_HOURS = 24

_ONE = "(VALUES (1, %(id)s::uuid, %(input)s::text)) AS one (place, id, input)"
_MANY = "unnest(%(ids)s::uuid[], %(inputs)s::text[]) WITH ORDINALITY AS one (id, input, place)"

_LIVES_ON = f"created_at >= now() - interval '{KEY_HOURS} hours'"

#: Before anything is accepted: the key of the request, where it is not taken. Who comes second waits for the first to
#: commit.
_CLAIM_KEY = """known AS (
    INSERT INTO idempotency_keys AS key (user_id, key, digest, execution_ids, created_at)
    SELECT %(viewer_id)s, %(key_text)s, %(key_digest)s, array_agg(id ORDER BY place), now() FROM ready
    HAVING count(*) > 0{condition}
    ON CONFLICT (user_id, key) DO UPDATE
    SET digest = excluded.digest, execution_ids = excluded.execution_ids, created_at = excluded.created_at
    WHERE NOT (key.{lives_on})
    RETURNING true
), """

#: The versions that an alias means, chosen anew for every place and before anything else is looked for: were it a
#: condition, there would be another choice for every version that is compared.
_CHOOSE = """chosen AS MATERIALIZED (
    SELECT place, CASE WHEN random() < CASE WHEN next_weight > 1 THEN next_weight / 100 ELSE next_weight END
                       THEN next_version ELSE version END AS number
    FROM {source} CROSS JOIN aliases WHERE function_id = %(function_id)s AND name = %(alias)s
), """

#: When it may begin at the earliest, and how long it may wait: columns, values, and what its message needs to know.
_TIMED = (
    ", not_before, expires_at",
    ", %(not_before)s::timestamptz, greatest(%(not_before)s::timestamptz, now()) + %(max_age)s::interval",
    ", greatest(not_before, now()) AS ready_at",
)

#: Whether its message has to pass a gate.
GATED = """, %(lane_places)s::integer IS NOT NULL OR EXISTS (
        SELECT FROM functions AS gate WHERE gate.id = function_id AND gate.concurrency IS NOT NULL
    ) AS gated, %(lane_places)s::integer AS lane_places"""
_NOT_GATED = ", false AS gated, NULL::integer AS lane_places"
_NO_LIMITS = " AND function.executions_per_minute IS NULL AND function.concurrency IS NULL"

_KNOWN_KEY = f"SELECT FROM idempotency_keys WHERE user_id = %(viewer_id)s AND key = %(key_text)s AND {_LIVES_ON}"

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
    head: int | None
    """From which rank on the next message is written."""
    is_gated: bool
    """Whether it may have to wait until others have ended."""
    standings: tuple[Standing, ...]
    """Of the rates that it took turns of."""


class BatchAccepted(NamedTuple):
    """The same of a batch."""

    head: int | None
    is_gated: bool
    standings: tuple[Standing, ...]


@dataclass(frozen=True, slots=True)
class _Shape:
    """What a statement has to do."""

    is_batch: bool
    by_alias: bool
    is_timed: bool
    has_key: bool
    is_limited: bool
    """Whether the caller or the function has limits. One that is not accepts nothing of a function that has."""

    @classmethod
    def of(cls, terms: Terms, *, is_limited: bool) -> "_Shape":
        """What these terms take."""
        return cls(isinstance(terms, Batch), terms.alias is not None, terms.is_timed, terms.key is not None, is_limited)

    @property
    def ready(self) -> str:
        """What is to be accepted; nothing where there is no such version that is READY."""
        chosen = "JOIN chosen ON chosen.place = one.place" if self.by_alias else ""
        number = "chosen.number" if self.by_alias else "coalesce(%(version)s, function.active_version)"
        boundless = "" if self.is_limited else _NO_LIMITS
        # What was accepted before takes no turn.
        new = f" AND NOT EXISTS ({_KNOWN_KEY})" if self.is_limited and self.has_key else ""
        return f"""
    SELECT one.place, one.id, one.input, function.id AS function_id, version.number
    FROM functions AS function CROSS JOIN {self.source} {chosen}
    JOIN versions AS version ON version.function_id = function.id AND version.number = {number}
    WHERE function.id = %(function_id)s AND function.deleted_at IS NULL AND version.status = 'READY'
      AND version.retired_at IS NULL AND {visible("function")}{boundless}{new}"""

    @property
    def source(self) -> str:
        """The inputs with their ids."""
        return _MANY if self.is_batch else _ONE


@cache
def statement(shape: _Shape) -> str:
    """Accept executions and write their messages, all or none."""
    first = _CHOOSE.format(source=shape.source) if shape.by_alias else ""
    ready, conditions = f"({shape.ready}) AS ready", []
    if shape.has_key or shape.is_limited:
        first, ready = f"{first}ready AS MATERIALIZED ({shape.ready}), ", "ready"
    if shape.is_limited:
        first += f"{limits.TAKING}, "
        conditions.append(limits.ARE_TAKEN)
    if shape.has_key:
        first += _CLAIM_KEY.format(condition="".join(f" AND {one}" for one in conditions), lives_on=_LIVES_ON)
        conditions.append("EXISTS (SELECT FROM known)")
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    columns, values, times = _TIMED if shape.is_timed or shape.is_limited else ("", "", "")
    gated = GATED if shape.is_limited else _NOT_GATED if shape.is_timed else ""
    payload = f"replace(%(payload)s, '{EACH}', id::text)" if shape.is_batch else "%(payload)s"
    publishing = PUBLISH_ACCEPTED_TIMED if columns else PUBLISH_ACCEPTED
    # Each column that is answered costs the web process some microseconds.
    row, source = "count(execution_id) AS accepted" if shape.is_batch else "version, created_at", "accepted"
    if times and not shape.is_batch:
        row += ", expires_at"
    if shape.is_limited:
        is_gated = "bool_or(gated)" if shape.is_batch else "gated"
        row += f", {is_gated} AS is_gated, {limits.TOLD} AS told, NOT {limits.ARE_TAKEN} AS is_refused"
        row += ", EXISTS (SELECT FROM ready) AS was_ready"
        source = "(SELECT) AS once LEFT JOIN accepted ON true"
    return f"""
WITH {first}accepted AS (
    INSERT INTO executions (
        id, function_id, version, status, input, attempts, trigger, correlation_id, caller_id, priority, waiter,
        replay_of, created_at{columns}
    )
    SELECT id, function_id, number, 'PENDING', input::json, 0, %(trigger)s, %(correlation_id)s, %(viewer_id)s,
           %(level)s, %(waiter)s, %(replay_of)s::uuid, now(){values}
    FROM {ready}{where}{" ORDER BY place" if shape.is_batch else ""}
    RETURNING id AS execution_id, function_id, version, created_at, expires_at, {payload}::json AS payload{times}{gated}
), {publishing}
SELECT {row}, CASE WHEN (SELECT count(*) FROM woken) >= 0 THEN {HEAD_NOW} END AS head
FROM {source}
"""


def submit(
    connection: Connection,
    principal: Principal,
    submission: Submission,
    *,
    address: dict[str, Any],
    payload: str,
    allowance: Allowance | None = None,
) -> Accepted | None:
    """Accept an execution, whose message goes to `address`; None where there is no such version that is READY, or the
    key is taken, or a limit is reached. `allowance` is what applies to the caller; without one, nothing of a function
    that has limits is accepted.
    """
    particulars = {
        "id": submission.id,
        "input": submission.input,
        "waiter": submission.waiter,
        "replay_of": submission.replay_of,
    }
    row = _accept(connection, principal, submission, particulars, address=address, payload=payload, allowance=allowance)
    if row is None:
        return None
    expires_at = row.expires_at if submission.is_timed else None
    is_gated, standings = (False, ()) if allowance is None else (row.is_gated, told(row.told))
    return Accepted(row.version, row.created_at, expires_at, row.head, is_gated, standings)


def submit_batch(
    connection: Connection,
    principal: Principal,
    batch: Batch,
    *,
    address: dict[str, Any],
    payload: str,
    allowance: Allowance | None = None,
) -> BatchAccepted | None:
    """Accept many executions, in order; None where `submit` answers None. In `payload`, `EACH` stands for an
    execution's id.
    """
    particulars = {"ids": batch.ids, "inputs": batch.inputs, "waiter": None, "replay_of": None}
    row = _accept(connection, principal, batch, particulars, address=address, payload=payload, allowance=allowance)
    if row is None:
        return None
    is_gated, standings = (False, ()) if allowance is None else (row.is_gated, told(row.told))
    return BatchAccepted(row.head, is_gated, standings)


def _accept(
    connection: Connection,
    principal: Principal,
    terms: Terms,
    particulars: Mapping[str, Any],
    *,
    address: dict[str, Any],
    payload: str,
    allowance: Allowance | None,
) -> Any:
    """What the statement answers, or None where it accepted nothing; raises OutOfTurns where that is for a rate."""
    parameters = _parameters(principal, terms, allowance, address=address, payload=payload)
    shape = _Shape.of(terms, is_limited=allowance is not None)
    row = connection.exec_driver_sql(statement(shape), {**parameters, **particulars}).one_or_none()
    if row is None:
        return None
    if shape.is_limited and row.is_refused and row.was_ready:
        raise OutOfTurns
    # Its first column is a version, or how many there are.
    return row if row[0] else None


def find_key(connection: Connection, principal: Principal, key: str) -> tuple[bytes, Sequence[UUID]] | None:
    """The digest of the request with this key, and the executions that it made."""
    parameters = {"viewer_id": principal.user_id, "key": key}
    row = connection.exec_driver_sql(FIND_KEY, parameters).one_or_none()
    return None if row is None else (row.digest, row.execution_ids)


def forget_keys(connection: Connection, *, limit: int) -> int:
    """Remove keys that nobody is known by any more; answers how many."""
    return connection.exec_driver_sql(FORGET_KEYS, {"limit": limit}).rowcount


def _parameters(
    principal: Principal, terms: Terms, allowance: Allowance | None, *, address: dict[str, Any], payload: str
) -> dict[str, Any]:
    key, allowed = terms.key or Key("", b""), allowance or Allowance()
    return (
        viewer(principal)
        | address
        | limits.parameters(allowed.rates)
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
            "payload": payload,
            "lane_places": allowed.concurrency,
        }
    )
