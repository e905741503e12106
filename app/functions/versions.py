"""The verbs of versions as users know them: list, read, compare, activate, verify."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.orm import Session

from app.accounts.domain import Principal
from app.audit.domain import Act
from app.audit.service import record
from app.functions import queries, version_queries
from app.functions.diffs import diff
from app.functions.domain import NoSuchVersion, Verification, VersionNotReady, VersionStatus, VersionSuperseded
from app.functions.models import Function, Version
from app.functions.service import Code, add_version, check_ownership, enqueue_work, to_change, visible
from app.identity import new_id
from app.platform import Platform
from app.queue import Task


def page(
    platform: Platform, principal: Principal, function_id: UUID, *, before: int | None, limit: int
) -> Sequence[tuple[Version, bool]]:
    """The newest versions of a function before a number, each with whether it is the active one; raises
    `UnknownFunction`.
    """
    with platform.database.reading() as session:
        visible(session, principal, function_id)
        return version_queries.page(session, function_id, before=before, limit=limit)


def read(platform: Platform, principal: Principal, function_id: UUID, number: int) -> tuple[Version, bool]:
    """One of them; raises `NoSuchVersion`."""
    with platform.database.reading() as session:
        visible(session, principal, function_id)
        found = version_queries.find(session, function_id, number)
    if found is None:
        raise NoSuchVersion
    return found


def compare(
    platform: Platform, principal: Principal, function_id: UUID, number: int, other: int
) -> tuple[Version, Version, str | None]:
    """Two versions, and how the source of the first differs from that of the other; None where one of them has none."""
    with platform.database.reading() as session:
        visible(session, principal, function_id)
        found = version_queries.find(session, function_id, number)
        against = version_queries.find(session, function_id, other)
    if found is None or against is None:
        raise NoSuchVersion
    (new, _), (old, _) = found, against
    if "wasm" in (new.language, old.language):
        return new, old, None
    texts = (one.source.decode(errors="replace") for one in (old, new))
    return new, old, diff(*texts, old_name=f"version {old.number}", new_name=f"version {new.number}")


def activate(
    platform: Platform, principal: Principal, function_id: UUID, number: int, *, if_match: str | None
) -> tuple[Function, Version]:
    """Let a READY version be the active one from the next execution on, and until a version is READY that was made
    later than this; answers the function with its latest version.
    """
    with platform.database.transaction() as session:
        function, latest = to_change(platform, session, principal, function_id, if_match=if_match)
        version = version_queries.lock(session, function_id, number)
        if version is None:
            raise NoSuchVersion
        if version.status != VersionStatus.READY:
            raise VersionNotReady(version.status)
        before, function.active_version = function.active_version, number
        function.decided_version = function.latest_version
        function.revision += 1
        function.updated_at = queries.now(session)
        old, new = {"activeVersion": before}, {"activeVersion": number}
        record(session, principal.actor, Act("version.activate", function_id, before=old, after=new))
        return function, latest


def verify(platform: Platform, principal: Principal, function_id: UUID, number: int, *, correlation_id: str) -> UUID:
    """Ask for a version to be built again and compared with what is recorded; answers what names the verification.
    Where one is underway already, that is the one.
    """
    with platform.database.transaction() as session:
        return verify_again(platform, session, principal, function_id, number, correlation_id=correlation_id)


def verify_again(
    platform: Platform, session: Session, principal: Principal, function_id: UUID, number: int, *, correlation_id: str
) -> UUID:
    """The same in the caller's transaction."""
    function = visible(session, principal, function_id)
    check_ownership(platform, principal, function)
    found = version_queries.lock(session, function_id, number)
    if found is None:
        raise NoSuchVersion
    if found.status != VersionStatus.READY:
        raise VersionNotReady(found.status)
    underway = found.verification_id
    if (
        underway is not None
        and found.verification == Verification.PENDING
        and version_queries.is_underway(session, function_id, underway)
    ):
        return underway
    found.verification, found.verification_id = Verification.PENDING, new_id()
    found.verified_at = found.verification_reason = found.rebuilt = None
    ids = {"function_id": str(function_id), "number": number, "verification_id": str(found.verification_id)}
    enqueue_work(session, Task.VERIFY, function, ids, correlation_id)
    record(session, principal.actor, Act("version.verify", function_id, after={"number": number}))
    return found.verification_id


def build_again(
    platform: Platform, session: Session, principal: Principal, function_id: UUID, number: int, *, correlation_id: str
) -> Version:
    """Have the source of the latest version compiled as a new one, in the caller's transaction: versions do not change.
    Where somebody has decided since that another one is active, it stays. Raises `VersionSuperseded`.
    """
    function, latest = to_change(platform, session, principal, function_id, if_match=None)
    found = version_queries.lock(session, function_id, number)
    if found is None:
        raise NoSuchVersion
    if number != latest.number:
        raise VersionSuperseded(number, latest.number)
    is_decided = function.decided_version >= number
    made = add_version(session, function, Code(found.language, found.source), correlation_id)
    if is_decided:
        function.decided_version = made.number
    function.revision += 1
    function.updated_at = queries.now(session)
    return made
