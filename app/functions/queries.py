"""Statements on functions, versions and artifacts."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, Connection, Uuid, any_, delete, func, literal, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.functions.domain import TURNS_OF_FUNCTION
from app.functions.models import Artifact, Function, Layer, NativeCode, Version
from app.functions.version_queries import IN_A_LIST
from app.toolchains import State

#: Runs where messages die (see `app.broker`): a version whose compilation is among them has FAILED. The message names
#: the version in the keyword arguments of its task, which are searched and not parsed: what dies may be anything, and
#: with an error of this statement it would die without it.
LOST = """
UPDATE versions AS version
SET status = 'FAILED', compiled_at = now(),
    compile_error = CASE dead_reason
        WHEN 'worker_lost' THEN format('the compilation took its worker down %%s times', losses)
        ELSE 'the platform failed to compile this; the operators'' logs say why' END
FROM buried
WHERE buried.execution_id IS NULL AND version.function_id = buried.function_id
  AND version.number = substring(broker.readable(payload) ->> 'body' FROM '"number": ?([0-9]{1,9})[,}]')::integer
  AND version.status IN ('PENDING', 'COMPILING')
"""

#: The same for a message that asks for a verification, which it names.
VERIFICATION_LOST = """
UPDATE versions AS version
SET verification = 'FAILED', verified_at = now(),
    verification_reason = CASE dead_reason
        WHEN 'worker_lost' THEN format('Building it again took its worker down %%s times.', losses)
        ELSE 'The platform failed to build it again; the operators'' logs say why.' END
FROM buried
WHERE buried.execution_id IS NULL AND version.function_id = buried.function_id AND version.verification = 'PENDING'
  AND strpos(broker.readable(payload) ->> 'body', version.verification_id::text) > 0
"""

ON_DEAD = (LOST, VERIFICATION_LOST)


def find(session: Session, function_id: UUID) -> tuple[Function, Version] | None:
    """A function that is not deleted, with its latest version, without locks."""
    statement = (
        select(Function, Version)
        .join(Version, (Version.function_id == Function.id) & (Version.number == Function.latest_version))
        .where(Function.id == function_id, Function.deleted_at.is_(None))
    )
    row = session.execute(statement).one_or_none()
    return None if row is None else (row[0], row[1])


def function(session: Session, function_id: UUID) -> Function | None:
    """The same without its version, whose source may be long."""
    statement = select(Function).where(Function.id == function_id, Function.deleted_at.is_(None))
    return session.execute(statement).scalar_one_or_none()


def lock(session: Session, function_id: UUID) -> tuple[Function, Version] | None:
    """The same, with other writers of the function kept out until the transaction ends.

    The function is locked before its version is looked for: a join that waited for the lock would look for the version
    that was the latest before.
    """
    statement = select(Function).where(Function.id == function_id, Function.deleted_at.is_(None)).with_for_update()
    function = session.execute(statement).scalar_one_or_none()
    return None if function is None else (function, session.get_one(Version, (function.id, function.latest_version)))


def hold(session: Session, function_id: UUID) -> None:
    """Keep other writers of a function out until the transaction ends. Whoever also takes its messages or its versions
    comes here first, since that is the order in which a deletion takes them: else each could wait for the other.
    """
    session.execute(select(Function.id).where(Function.id == function_id).with_for_update(key_share=True))


#: The newest functions that are shared with any of these, or with all of whom they are one: of each at most as many as
#: are wanted, by the primary key of `function_audiences`, however many there are.
SHARED = """
SELECT DISTINCT shared.function_id FROM unnest(%(audiences)s::uuid[]) AS audience (id)
CROSS JOIN LATERAL (
    SELECT function_id FROM function_audiences
    WHERE audience_id = audience.id AND function_id < %(before)s
    ORDER BY function_id DESC LIMIT %(limit)s
) AS shared
ORDER BY function_id DESC LIMIT %(limit)s
"""

_LAST_ID = UUID(int=2**128 - 1)


def page(
    session: Session, audiences: Sequence[UUID] | None, *, before: UUID | None, limit: int
) -> Sequence[tuple[Function, Version]]:
    """The newest functions whose id comes before `before` that are shared with one of `audiences`, or all, without
    locks.
    """
    statement = (
        select(Function, Version)
        .join(Version, (Version.function_id == Function.id) & (Version.number == Function.latest_version))
        .where(Function.deleted_at.is_(None))
        .order_by(Function.id.desc())
        .limit(limit)
        .options(*IN_A_LIST)
    )
    if audiences is not None:
        parameters = {"audiences": list(audiences), "before": before or _LAST_ID, "limit": limit}
        ids = list(session.connection().exec_driver_sql(SHARED, parameters).scalars())
        # One parameter, however many they are: so the statement is always the same and stays prepared.
        statement = statement.where(Function.id == any_(literal(ids, ARRAY(Uuid))))
    elif before is not None:
        statement = statement.where(Function.id < before)
    return [(function, version) for function, version in session.execute(statement)]


def name_is_taken(session: Session, name: str, *, by_other_than: UUID | None = None) -> bool:
    """Whether a function that is not deleted has this name. A hint for a clear answer; the unique index decides."""
    statement = select(Function.id).where(
        Function.name == name, Function.deleted_at.is_(None), Function.id != by_other_than
    )
    return session.execute(statement).first() is not None


def stored_digests(session: Session, version: Version) -> tuple[str | None, str | None]:
    """The digests of what is stored under a version's digests of module and layer, computed from its bytes."""
    wasm = select(_hex_digest(Artifact.wasm)).where(Artifact.digest == version.artifact_digest)
    layer = select(_hex_digest(Layer.content)).where(Layer.digest == version.layer_digest)
    row = session.execute(select(wasm.scalar_subquery(), layer.scalar_subquery())).one()
    return row[0], row[1]


def _hex_digest(content: InstrumentedAttribute[bytes]) -> ColumnElement[str]:
    return func.encode(func.sha256(content), "hex")


NATIVE = "SELECT native, mac FROM native_code WHERE digest = %s AND target = %s"


def store_artifact(session: Session, *, digest: str, wasm: bytes, now: datetime) -> None:
    """Keep WebAssembly under its digest; what is there already stays."""
    session.execute(insert(Artifact).values(digest=digest, wasm=wasm, created_at=now).on_conflict_do_nothing())


def renew_artifact(session: Session, digest: str) -> bool:
    """Have an artifact stay for the time that those stay which no version uses; answers whether it is there."""
    renewed = update(Artifact).where(Artifact.digest == digest).values(created_at=func.now())
    return session.execute(renewed.returning(Artifact.digest)).one_or_none() is not None


def store_layer(session: Session, *, digest: str, content: bytes, now: datetime) -> None:
    """Keep a layer under its digest; what is there already stays."""
    session.execute(insert(Layer).values(digest=digest, content=content, created_at=now).on_conflict_do_nothing())


def layer(connection: Connection, digest: str) -> bytes | None:
    """The layer of this digest."""
    return connection.execute(select(Layer.content).where(Layer.digest == digest)).scalar_one_or_none()


def has_native(session: Session, digest: str, target: str) -> bool:
    """Whether there is native code for one target."""
    statement = select(NativeCode.digest).where(NativeCode.digest == digest, NativeCode.target == target)
    return session.execute(statement).one_or_none() is not None


def store_native(session: Session, *, digest: str, target: str, native: bytes, mac: bytes, now: datetime) -> None:
    """Keep native code for one target; what is there already stays."""
    values = {"digest": digest, "target": target, "native": native, "mac": mac, "created_at": now}
    session.execute(insert(NativeCode).values(values).on_conflict_do_nothing())


def forget_native(session: Session, digest: str, target: str) -> None:
    """Drop native code that was refused, so that it is made again."""
    session.execute(delete(NativeCode).where(NativeCode.digest == digest, NativeCode.target == target))


def native(session: Session, digest: str, target: str) -> tuple[bytes, bytes] | None:
    """Native code and its authentication code. They come in PostgreSQL's binary format, which has half the bytes and
    takes half the time: CPython's native code has 42 MB.
    """
    connection: Any = session.connection().connection.driver_connection
    row: tuple[bytes, bytes] | None = connection.execute(NATIVE, (digest, target), binary=True).fetchone()
    return row


def wasm(session: Session, digest: str) -> bytes | None:
    """The WebAssembly of this digest."""
    return session.execute(select(Artifact.wasm).where(Artifact.digest == digest)).scalar_one_or_none()


def lines(session: Session, function_id: UUID, number: int) -> bytes | None:
    """The table of a version's lines."""
    version = Version.function_id == function_id, Version.number == number
    return session.execute(select(Version.lines).where(*version)).scalar_one_or_none()


def discard_messages(session: Session, function_id: UUID) -> None:
    """Take a function's messages out of the queues, also those that are being worked on. Dead letters stay."""
    statement = "DELETE FROM broker.messages WHERE function_id = :function_id AND state <> 'dead'"
    session.execute(text(statement), {"function_id": function_id})


def forget_turns(session: Session, function_id: UUID) -> None:
    """Let a function's rate begin anew: turns that were taken are worth other times by another rate."""
    session.execute(text("DELETE FROM throttles WHERE name = :name"), {"name": f"{TURNS_OF_FUNCTION}{function_id}"})


def now(session: Session) -> datetime:
    """The database's time at the beginning of the transaction."""
    moment: datetime = session.execute(select(func.now())).scalar_one()
    return moment


#: What compile workers say of their languages; those that went without a word are forgotten on the way.
REPORT_COMPILERS = """
WITH past AS (DELETE FROM compilers WHERE reported_at < now() - %(past_seconds)s * interval '1 second')
INSERT INTO compilers (worker, language, state, reason, version)
SELECT %(worker)s, language, state, reason, version
FROM json_to_recordset(%(rows)s::json) AS said (language text, state text, reason text, version text)
ON CONFLICT (worker, language) DO UPDATE
SET state = excluded.state, reason = excluded.reason, version = excluded.version, reported_at = now()
"""

COMPILERS = """
SELECT DISTINCT ON (language, state) language, state, reason, version FROM compilers
WHERE reported_at > now() - %(past_seconds)s * interval '1 second'
ORDER BY language, state, reported_at DESC
"""

COMPILERS_OF = """
SELECT worker, reason FROM compilers
WHERE language = %(language)s AND reported_at > now() - %(past_seconds)s * interval '1 second'
ORDER BY worker
"""


def report_compilers(
    connection: Connection, worker: str, rows: Sequence[Mapping[str, Any]], *, past_seconds: int
) -> None:
    """Write what a worker says of its languages."""
    parameters = {"worker": worker, "rows": json.dumps(rows), "past_seconds": past_seconds}
    connection.exec_driver_sql(REPORT_COMPILERS, parameters)


def compilers(connection: Connection, *, past_seconds: int) -> dict[str, dict[State, tuple[str | None, str]]]:
    """By language and state: the reason and the version, as the last worker said that has it so."""
    found: dict[str, dict[State, tuple[str | None, str]]] = {}
    for row in connection.exec_driver_sql(COMPILERS, {"past_seconds": past_seconds}):
        found.setdefault(row.language, {})[State(row.state)] = (row.reason, row.version)
    return found


def compilers_of(connection: Connection, language: str, *, past_seconds: int) -> dict[str, str | None]:
    """By worker: why it cannot compile a language; None where it can, or will soon."""
    parameters = {"language": language, "past_seconds": past_seconds}
    return {row.worker: row.reason for row in connection.exec_driver_sql(COMPILERS_OF, parameters)}
