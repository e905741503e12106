"""What a compile worker does when somebody asks whether a version is what it says: it builds it again from its recorded
source and compares the digests. Of the version itself nothing changes but what is written of that.
"""

import time
from dataclasses import asdict
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy.orm import Session

from app.broker import Delivery
from app.functions import compiling, languages, queries, version_queries
from app.functions.compiling import Failure
from app.functions.domain import MAX_DELIVERIES, Finding, Provenance, Verification, digest_of
from app.functions.models import Version
from app.platform import Platform
from app.queue import put_off, settle
from app.toolchains import State

log = structlog.get_logger()

PLATFORM_FAILED: Final = "The platform failed to build it again; the operators' logs say why."
STOPPED: Final = "An operator stopped the verification."

_OTHER_SOURCE: Final = "The stored source does not have the digest that was recorded of it."
_OTHER_MODULE: Final = "The stored module does not have the digest that is recorded of it."
_OTHER_LAYER: Final = "The stored layer does not have the digest that is recorded of it."
_BY_CHANCE: Final = "The compiler is not deterministic: building it twice made two different modules."
_CHANGED: Final = (
    "The same compiler with the same flags makes another module, and the same one each time: what is recorded was "
    "changed, or another version of Kiln made it, or the libraries that it is linked with were built anew since."
)
_OTHER_SHARED: Final = (
    "What was made of the source is the same. The module that functions of its language share was built anew since, or "
    "on another machine."
)


def verify_version(
    platform: Platform, delivery: Delivery, function_id: UUID, number: int, verification_id: UUID
) -> None:
    """Build one version again and write what came of it; the message goes in the same transaction. Nothing is open
    meanwhile.
    """
    version = _begin(platform, delivery, function_id, number, verification_id)
    if version is None:
        return
    began = time.monotonic()
    finding = _examine(platform, version)
    log.info(
        "version.verified",
        verification=str(finding.verification),
        reason=finding.reason,
        duration_ms=int((time.monotonic() - began) * 1000),
    )
    _finish(platform, delivery, function_id, number, verification_id, finding)


def give_up(platform: Platform, delivery: Delivery, function_id: UUID, number: int, verification_id: UUID) -> bool:
    """After a failure of the platform: whether it was the last that is tolerated, and the verification has FAILED."""
    if delivery.deliveries < MAX_DELIVERIES:
        return False
    failed = Finding(Verification.FAILED, PLATFORM_FAILED)
    _finish(platform, delivery, function_id, number, verification_id, failed)
    return True


def stop(platform: Platform, delivery: Delivery, function_id: UUID, number: int, verification_id: UUID) -> None:
    """An operator has stopped the attempt: the verification has FAILED."""
    stopped = Finding(Verification.FAILED, STOPPED)
    _finish(platform, delivery, function_id, number, verification_id, stopped)


def _begin(
    platform: Platform, delivery: Delivery, function_id: UUID, number: int, verification_id: UUID
) -> Version | None:
    """The version; none when there is nothing to do any more, or not yet."""
    with platform.database.transaction() as session:
        version = _awaiting(session, function_id, number, verification_id)
        if version is None:
            settle(session, delivery)
            return None
        if languages.readiness(platform, version.language).state is State.PREPARING:
            put_off(session, delivery, seconds=languages.ASK_AGAIN_SECONDS)
            return None
    return version


def _awaiting(session: Session, function_id: UUID, number: int, verification_id: UUID) -> Version | None:
    """The version, locked, if it still waits for this verification."""
    version = version_queries.lock(session, function_id, number)
    if version is None or version.verification_id != verification_id:
        return None
    return version if version.verification == Verification.PENDING else None


def _examine(platform: Platform, version: Version) -> Finding:
    result = compiling.build(platform, version)
    if isinstance(result, Failure):
        return Finding(Verification.FAILED, f"It cannot be built here any more: {result.error}")
    reason = _stored_otherwise(platform, version) or _made_otherwise(platform, version, result.provenance)
    return Finding(Verification.DIFFERS if reason else Verification.MATCHES, reason, result.provenance)


def _stored_otherwise(platform: Platform, version: Version) -> str | None:
    """Which of the bytes in the database are not those that their digests name."""
    if digest_of(version.source) != version.source_digest:
        return _OTHER_SOURCE
    with platform.database.transaction() as session:
        wasm_digest, layer_digest = queries.stored_digests(session, version)
    if wasm_digest != version.artifact_digest:
        return _OTHER_MODULE
    return None if layer_digest == version.layer_digest else _OTHER_LAYER


def _made_otherwise(platform: Platform, version: Version, rebuilt: Provenance) -> str | None:
    """Why building it again made something else, if it did. Where the compiler is the same, it is asked once more."""
    recorded = _recorded(version)
    if recorded.digests == rebuilt.digests:
        return None
    if reason := recorded.changed_compiler(rebuilt):
        return reason
    if recorded.layer_digest is not None and recorded.layer_digest == rebuilt.layer_digest:
        return _OTHER_SHARED
    again = compiling.build(platform, version)
    is_same = not isinstance(again, Failure) and again.provenance.digests == rebuilt.digests
    return _CHANGED if is_same else _BY_CHANCE


def _recorded(version: Version) -> Provenance:
    return Provenance(
        toolchain=version.toolchain or "",
        toolchain_version=version.toolchain_version or "",
        flags=tuple(version.flags or ()),
        wasm_digest=version.artifact_digest or "",
        layer_digest=version.layer_digest,
    )


def _finish(
    platform: Platform, delivery: Delivery, function_id: UUID, number: int, verification_id: UUID, finding: Finding
) -> None:
    with platform.database.transaction() as session:
        if not settle(session, delivery):
            log.warning("verification.stale")
            return
        version = _awaiting(session, function_id, number, verification_id)
        if version is None:
            return
        version.verification, version.verification_reason = finding.verification, finding.reason
        version.rebuilt = None if finding.rebuilt is None else asdict(finding.rebuilt)
        version.verified_at = queries.now(session)
