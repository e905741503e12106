"""The verbs of functions as users know them: register, read, change, remove. Those of their versions are in `versions`,
and what workers do in `compiling` and `verifying`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.accounts.credentials import hold_caller
from app.accounts.domain import Forbidden, Principal, can_access, changed
from app.accounts.sharing import Sharing, audiences_of, check_sharing, share
from app.audit.domain import Act
from app.audit.service import record
from app.broker import Place
from app.environments.service import check_usable
from app.functions import queries
from app.functions.domain import (
    FunctionLimits,
    MemoryTooSmall,
    NameTaken,
    RevisionMismatch,
    SourceTooLarge,
    UnknownFunction,
    VersionStatus,
    digest_of,
)
from app.functions.languages import languages as languages_of
from app.functions.models import Function, Version
from app.identity import new_id
from app.platform import Platform
from app.queue import BACKGROUND, Queue, Task, enqueue, message, set_places
from app.toolchains import State, toolchain


@dataclass(frozen=True, slots=True)
class Code:
    """What an author sent: text in a language, or a prebuilt module with language `wasm`."""

    language: str
    source: bytes


def register(
    platform: Platform,
    principal: Principal,
    *,
    name: str,
    description: str,
    code: Code,
    limits: FunctionLimits,
    sharing: Sharing | None = None,
    environment_id: UUID | None = None,
    retry: dict[str, Any] | None = None,
    correlation_id: str,
) -> tuple[Function, Version]:
    """Record a function and its first version, and the message that has it compiled, in one transaction."""
    if not principal.is_admin and not platform.settings.devs_may_register:
        raise Forbidden
    _check_size(platform, code)
    _check_memory(code.language, limits.memory_mb)
    sharing = sharing or Sharing()
    try:
        with platform.database.transaction() as session:
            hold_caller(session, principal)
            check_sharing(session, sharing)
            if environment_id is not None:
                check_usable(session, principal, environment_id)
            if queries.name_is_taken(session, name):
                raise NameTaken(name)
            now = queries.now(session)
            function = Function(
                id=new_id(),
                name=name,
                description=description,
                timeout_ms=limits.timeout_ms,
                memory_mb=limits.memory_mb,
                executions_per_minute=limits.executions_per_minute,
                concurrency=limits.concurrency,
                active_version=None,
                latest_version=0,
                decided_version=0,
                revision=1,
                owner_id=principal.user_id,
                allowed_users=list(sharing.users or ()),
                allowed_groups=list(sharing.groups or ()),
                environment_id=environment_id,
                retry=retry,
                created_at=now,
                updated_at=now,
            )
            session.add(function)
            version = add_version(session, function, code, correlation_id)
            if limits.concurrency is not None:
                set_places(session, function.id, limits.concurrency)
            record(session, principal.actor, Act("function.create", function.id, after=_state(function)))
            return function, version
    except IntegrityError as error:
        # Somebody registered the name between our look and our insert; the unique index saw both.
        raise NameTaken(name) from error


def change(
    platform: Platform,
    principal: Principal,
    function_id: UUID,
    *,
    changes: dict[str, Any],
    code: Code | None,
    sharing: Sharing | None = None,
    if_match: str | None,
    correlation_id: str,
) -> tuple[Function, Version]:
    """Change fields, and make a new version when the code differs from the latest, or the platform failed to compile
    that; the active version goes on serving until it is READY. Where nothing changes nothing is written.
    """
    if code is not None:
        _check_size(platform, code)
    try:
        with platform.database.transaction() as session:
            function, latest = to_change(platform, session, principal, function_id, if_match=if_match)
            before = _state(function)
            if "name" in changes and queries.name_is_taken(session, changes["name"], by_other_than=function_id):
                raise NameTaken(changes["name"])
            wanted = changes.get("environment_id")
            # Whoever may change a function need not be able to see what it was given before.
            if wanted is not None and wanted != function.environment_id:
                check_usable(session, principal, wanted)
            _apply(session, function, changes)
            share(session, function, sharing or Sharing())
            if code is not None or "memory_mb" in changes:
                _check_memory(latest.language if code is None else code.language, function.memory_mb)
            if code is not None and _is_to_be_compiled(code, latest):
                latest = add_version(session, function, code, correlation_id)
            old, new = changed(before, _state(function))
            if new:
                function.revision += 1
                function.updated_at = queries.now(session)
                record(session, principal.actor, Act("function.update", function_id, before=old, after=new))
            return function, latest
    except IntegrityError as error:
        raise NameTaken(str(changes.get("name"))) from error


def read(platform: Platform, principal: Principal, function_id: UUID) -> tuple[Function, Version]:
    """A function with its latest version; raises `UnknownFunction`, also for one that the caller may not see."""
    with platform.database.reading() as session:
        return _there(principal, queries.find(session, function_id))


def is_limited(platform: Platform, principal: Principal, function_id: UUID) -> bool:
    """Whether a function has limits of its own; False as well for one that the caller may not see."""
    try:
        function, _ = read(platform, principal, function_id)
    except UnknownFunction:
        return False
    return function.executions_per_minute is not None or function.concurrency is not None


def check_owned(platform: Platform, principal: Principal, function_id: UUID) -> None:
    """Raises Forbidden for a function that the caller may not change, and `UnknownFunction`."""
    with platform.database.reading() as session:
        check_ownership(platform, principal, visible(session, principal, function_id))


def check_visible(platform: Platform, principal: Principal, function_id: UUID) -> None:
    """Raises `UnknownFunction` for a function that is not there for the caller."""
    with platform.database.reading() as session:
        visible(session, principal, function_id)


def page(
    platform: Platform, principal: Principal, *, before: UUID | None, limit: int
) -> Sequence[tuple[Function, Version]]:
    """The newest functions before an id that the caller may see."""
    audiences = None if principal.is_admin else audiences_of(principal)
    with platform.database.reading() as session:
        return queries.page(session, audiences, before=before, limit=limit)


def delete(
    platform: Platform, session: Session, principal: Principal, function_id: UUID, *, if_match: str | None
) -> None:
    """Hide a function and free its name; its messages go with it. Whoever calls this ends its executions in the same
    transaction.
    """
    function, _ = to_change(platform, session, principal, function_id, if_match=if_match)
    record(session, principal.actor, Act("function.delete", function_id, before=_state(function)))
    function.deleted_at = queries.now(session)
    function.environment_id = None
    set_places(session, function_id, None)
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


def visible(session: Session, principal: Principal, function_id: UUID) -> Function:
    """A function that is there for the caller; raises `UnknownFunction`."""
    found = queries.function(session, function_id)
    if found is None or not can_access(principal, found):
        raise UnknownFunction
    return found


def _there(principal: Principal, found: tuple[Function, Version] | None) -> tuple[Function, Version]:
    if found is None or not can_access(principal, found[0]):
        raise UnknownFunction
    return found


def to_change(
    platform: Platform, session: Session, principal: Principal, function_id: UUID, *, if_match: str | None
) -> tuple[Function, Version]:
    """A function that the caller may change, locked; raises `UnknownFunction`, Forbidden and `RevisionMismatch`."""
    function, latest = _there(principal, queries.lock(session, function_id))
    check_ownership(platform, principal, function)
    if if_match is not None and if_match not in {"*", etag(function)}:
        raise RevisionMismatch
    return function, latest


def add_version(session: Session, function: Function, code: Code, correlation_id: str) -> Version:
    """Give a locked function another version, and have it compiled when the transaction commits."""
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
    enqueue_work(session, Task.COMPILE, function, ids, correlation_id)
    return version


def check_ownership(platform: Platform, principal: Principal, function: Function) -> None:
    """Raises Forbidden for a function that the caller may see and not change."""
    is_own = platform.settings.devs_may_register and function.owner_id == principal.user_id
    if not principal.is_admin and not is_own:
        raise Forbidden


def _state(function: Function) -> dict[str, Any]:
    """What the audit shows of a function."""
    return {
        "name": function.name,
        "description": function.description,
        "timeoutMs": function.timeout_ms,
        "memoryMb": function.memory_mb,
        "executionsPerMinute": function.executions_per_minute,
        "concurrency": function.concurrency,
        "activeVersion": function.active_version,
        "retry": function.retry,
        "latestVersion": function.latest_version,
        "allowedUsers": [str(one) for one in function.allowed_users],
        "allowedGroups": [str(one) for one in function.allowed_groups],
        "environmentId": None if function.environment_id is None else str(function.environment_id),
    }


def enqueue_work(session: Session, task: Task, function: Function, ids: Mapping[str, Any], correlation_id: str) -> None:
    """Give a compile worker something to do when the transaction commits. Owners of functions take turns, and so does a
    function that has none.
    """
    payload = message(
        task,
        Queue.COMPILE,
        message_id=str(new_id()),
        priority=BACKGROUND,
        correlation_id=correlation_id,
        ids=ids,
    )
    place = Place(BACKGROUND, lane=str(function.owner_id or function.id))
    enqueue(session, Queue.COMPILE, payload, function_id=str(function.id), place=place)


def _check_size(platform: Platform, code: Code) -> None:
    limit = _limit(platform, code.language)
    if len(code.source) > limit:
        raise SourceTooLarge(limit, len(code.source))


def _apply(session: Session, function: Function, changes: Mapping[str, Any]) -> None:
    """Set fields, and what follows from them elsewhere."""
    if changes.get("executions_per_minute", function.executions_per_minute) != function.executions_per_minute:
        queries.forget_turns(session, function.id)
    for field, value in changes.items():
        setattr(function, field, value)
    if "concurrency" in changes:
        set_places(session, function.id, function.concurrency)


def _is_to_be_compiled(code: Code, latest: Version) -> bool:
    is_other = (code.language, code.source) != (latest.language, latest.source)
    return is_other or (latest.status == VersionStatus.FAILED and latest.compile_log is None)


def _check_memory(language: str, memory_mb: int) -> None:
    least_mb = toolchain(language).least_memory_mb
    if memory_mb < least_mb:
        raise MemoryTooSmall(language, least_mb)


def _limit(platform: Platform, language: str) -> int:
    settings = platform.settings
    return settings.max_wasm_bytes if language == "wasm" else settings.max_source_bytes
