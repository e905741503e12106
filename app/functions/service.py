"""The verbs of functions as users know them: register, read, change, verify, remove. What workers do of it is in
`compiling` and `verifying`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.functions import queries
from app.functions.domain import (
    FunctionLimits,
    MemoryTooSmall,
    NameTaken,
    NoSuchVersion,
    RevisionMismatch,
    SourceTooLarge,
    UnknownFunction,
    Verification,
    VersionNotReady,
    VersionStatus,
    digest_of,
)
from app.functions.languages import languages as languages_of
from app.functions.models import Function, Version
from app.identity import new_id
from app.platform import Platform
from app.queue import BACKGROUND, Queue, Task, enqueue, message
from app.toolchains import State, toolchain


@dataclass(frozen=True, slots=True)
class Code:
    """What an author sent: text in a language, or a prebuilt module with language `wasm`."""

    language: str
    source: bytes


def register(
    platform: Platform, *, name: str, description: str, code: Code, limits: FunctionLimits, correlation_id: str
) -> tuple[Function, Version]:
    """Record a function and its first version, and the message that has it compiled, in one transaction."""
    _check_size(platform, code)
    _check_memory(code.language, limits.memory_mb)
    try:
        with platform.database.transaction() as session:
            if queries.name_is_taken(session, name):
                raise NameTaken(name)
            now = queries.now(session)
            function = Function(
                id=new_id(),
                name=name,
                description=description,
                timeout_ms=limits.timeout_ms,
                memory_mb=limits.memory_mb,
                active_version=None,
                latest_version=0,
                revision=1,
                created_at=now,
                updated_at=now,
            )
            session.add(function)
            return function, _add_version(session, function, code, correlation_id)
    except IntegrityError as error:
        # Somebody registered the name between our look and our insert; the unique index saw both.
        raise NameTaken(name) from error


def change(
    platform: Platform,
    function_id: UUID,
    *,
    changes: dict[str, Any],
    code: Code | None,
    if_match: str | None,
    correlation_id: str,
) -> tuple[Function, Version]:
    """Change fields, and make a new version when the code differs from the latest; the active version goes on serving
    until it is READY.
    """
    if code is not None:
        _check_size(platform, code)
    try:
        with platform.database.transaction() as session:
            function, latest = _found(session, function_id, if_match=if_match)
            if "name" in changes and queries.name_is_taken(session, changes["name"], by_other_than=function_id):
                raise NameTaken(changes["name"])
            for field, value in changes.items():
                setattr(function, field, value)
            if code is not None or "memory_mb" in changes:
                _check_memory(latest.language if code is None else code.language, function.memory_mb)
            if code is not None and (code.language, code.source) != (latest.language, latest.source):
                latest = _add_version(session, function, code, correlation_id)
            function.revision += 1
            function.updated_at = queries.now(session)
            return function, latest
    except IntegrityError as error:
        raise NameTaken(str(changes.get("name"))) from error


def read(platform: Platform, function_id: UUID) -> tuple[Function, Version]:
    """A function with its latest version; raises `UnknownFunction`."""
    with platform.database.transaction() as session:
        found = queries.find(session, function_id)
    if found is None:
        raise UnknownFunction
    return found


def page(platform: Platform, *, before: UUID | None, limit: int) -> Sequence[tuple[Function, Version]]:
    """The newest functions before an id."""
    with platform.database.transaction() as session:
        return queries.page(session, before=before, limit=limit)


def versions(
    platform: Platform, function_id: UUID, *, before: int | None, limit: int
) -> Sequence[tuple[Version, bool]]:
    """The newest versions of a function before a number, each with whether it is the active one; raises
    `UnknownFunction`.
    """
    with platform.database.transaction() as session:
        found = queries.versions(session, function_id, before=before, limit=limit)
        if not found and queries.find(session, function_id) is None:
            raise UnknownFunction
    return found


def version(platform: Platform, function_id: UUID, number: int) -> tuple[Version, bool]:
    """One of them; raises `NoSuchVersion`."""
    with platform.database.transaction() as session:
        found = queries.version(session, function_id, number)
    if found is None:
        raise NoSuchVersion
    return found


def verify(platform: Platform, function_id: UUID, number: int, *, correlation_id: str) -> UUID:
    """Ask for a version to be built again and compared with what is recorded; answers what names the verification.
    Where one is underway already, that is the one.
    """
    with platform.database.transaction() as session:
        found = queries.lock_version(session, function_id, number)
        if found is None:
            raise NoSuchVersion
        if found.status != VersionStatus.READY:
            raise VersionNotReady(found.status)
        underway = found.verification_id
        if (
            underway is not None
            and found.verification == Verification.PENDING
            and queries.is_underway(session, function_id, underway)
        ):
            return underway
        found.verification, found.verification_id = Verification.PENDING, new_id()
        found.verified_at = found.verification_reason = found.rebuilt = None
        ids = {"function_id": str(function_id), "number": number, "verification_id": str(found.verification_id)}
        _enqueue(session, Task.VERIFY, function_id, ids, correlation_id)
        return found.verification_id


def delete(session: Session, function_id: UUID, *, if_match: str | None) -> None:
    """Hide a function and free its name; its messages go with it. Whoever calls this ends its executions in the same
    transaction.
    """
    function, _ = _found(session, function_id, if_match=if_match)
    function.deleted_at = queries.now(session)
    queries.discard_messages(session, function_id)


def languages(platform: Platform) -> list[dict[str, Any]]:
    """Every language: its compiler, whether it can be used now, source to start from, and its limits."""
    return [
        {
            "language": one.toolchain.language,
            "version": one.version,
            "installed": one.readiness.state is not State.MISSING,
            "status": one.readiness.state,
            "reason": one.readiness.reason,
            "template": one.toolchain.template,
            "limits": {
                "max_source_bytes": _limit(platform, one.toolchain.language),
                "compile_timeout_ms": one.toolchain.limits.wall_ms,
            },
        }
        for one in languages_of(platform)
    ]


def etag(function: Function) -> str:
    """Changes with every write by a user; compilation does not change it, so that a writer need not wait for it."""
    return f"{function.id}.{function.revision}"


def _found(session: Session, function_id: UUID, *, if_match: str | None) -> tuple[Function, Version]:
    found = queries.lock(session, function_id)
    if found is None:
        raise UnknownFunction
    if if_match is not None and if_match not in {"*", etag(found[0])}:
        raise RevisionMismatch
    return found


def _add_version(session: Session, function: Function, code: Code, correlation_id: str) -> Version:
    function.latest_version += 1
    version = Version(
        function_id=function.id,
        number=function.latest_version,
        language=code.language,
        source=code.source,
        source_digest=digest_of(code.source),
        status=VersionStatus.PENDING,
        compile_attempts=0,
        created_at=queries.now(session),
    )
    session.flush()
    session.add(version)
    session.flush()
    ids = {"function_id": str(function.id), "number": version.number}
    _enqueue(session, Task.COMPILE, function.id, ids, correlation_id)
    return version


def _enqueue(session: Session, task: Task, function_id: UUID, ids: Mapping[str, Any], correlation_id: str) -> None:
    payload = message(
        task,
        Queue.COMPILE,
        message_id=str(new_id()),
        priority=BACKGROUND,
        correlation_id=correlation_id,
        ids=ids,
    )
    enqueue(session, Queue.COMPILE, payload, function_id=str(function_id))


def _check_size(platform: Platform, code: Code) -> None:
    limit = _limit(platform, code.language)
    if len(code.source) > limit:
        raise SourceTooLarge(limit, len(code.source))


def _check_memory(language: str, memory_mb: int) -> None:
    least_mb = toolchain(language).least_memory_mb
    if memory_mb < least_mb:
        raise MemoryTooSmall(language, least_mb)


def _limit(platform: Platform, language: str) -> int:
    settings = platform.settings
    return settings.max_wasm_bytes if language == "wasm" else settings.max_source_bytes
