"""Aliases: names that callers execute by, each of a version and perhaps of a second one for a share of executions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from app.accounts.domain import Principal, UnknownReference
from app.audit.domain import Act
from app.audit.service import record
from app.functions import queries, version_queries
from app.functions.domain import (
    ACTIVE,
    MOST_ALIASES,
    NoSuchAlias,
    ReservedAlias,
    TooManyAliases,
    VersionNotReady,
    VersionStatus,
)
from app.functions.models import Alias
from app.functions.service import to_change, visible
from app.platform import Platform


@dataclass(frozen=True, slots=True)
class Choice:
    """The version that an alias means, and the one that it means for `next_weight` of the executions, which is a share
    up to 1, or percent above.
    """

    version: int
    next_version: int | None = None
    next_weight: float | None = None


def of(platform: Platform, principal: Principal, function_id: UUID) -> Sequence[Alias]:
    """The aliases of a function by name, which are few; raises `UnknownFunction`."""
    with platform.database.reading() as session:
        visible(session, principal, function_id)
        return version_queries.aliases(session, function_id)


def read(platform: Platform, principal: Principal, function_id: UUID, name: str) -> Alias:
    """One of them; raises `NoSuchAlias`."""
    with platform.database.reading() as session:
        visible(session, principal, function_id)
        return _found(session, function_id, name)


def point(platform: Platform, principal: Principal, function_id: UUID, name: str, choice: Choice) -> tuple[Alias, bool]:
    """Let an alias mean versions that are READY, from the next execution on; answers whether it is new."""
    if name == ACTIVE:
        raise ReservedAlias
    with platform.database.transaction() as session:
        to_change(platform, session, principal, function_id, if_match=None)
        _check_ready(session, function_id, choice.version, "/version")
        if choice.next_version is not None:
            _check_ready(session, function_id, choice.next_version, "/next/version")
        alias = version_queries.alias(session, function_id, name)
        before = None if alias is None else _state(alias)
        if alias is None:
            if len(version_queries.aliases(session, function_id)) >= MOST_ALIASES:
                raise TooManyAliases
            alias = Alias(function_id=function_id, name=name)
            session.add(alias)
        alias.version, alias.next_version, alias.next_weight = choice.version, choice.next_version, choice.next_weight
        alias.updated_at = queries.now(session)
        record(session, principal.actor, Act("alias.point", function_id, before=before, after=_state(alias)))
        return alias, before is None


def remove(platform: Platform, principal: Principal, function_id: UUID, name: str) -> None:
    """Let a name mean nothing any more; raises `NoSuchAlias`. What it was executed by goes on."""
    with platform.database.transaction() as session:
        to_change(platform, session, principal, function_id, if_match=None)
        alias = _found(session, function_id, name)
        session.delete(alias)
        record(session, principal.actor, Act("alias.remove", function_id, before=_state(alias)))


def _found(session: Session, function_id: UUID, name: str) -> Alias:
    alias = version_queries.alias(session, function_id, name)
    if alias is None:
        raise NoSuchAlias
    return alias


def _check_ready(session: Session, function_id: UUID, number: int, pointer: str) -> None:
    version = version_queries.lock(session, function_id, number)
    if version is None:
        raise UnknownReference("version", str(number), pointer)
    if version.status != VersionStatus.READY:
        raise VersionNotReady(version.status)


def _state(alias: Alias) -> dict[str, Any]:
    return {
        "name": alias.name,
        "version": alias.version,
        "nextVersion": alias.next_version,
        "nextWeight": alias.next_weight,
    }
