"""What a compile worker does: a version's source becomes an artifact, or the reason why not."""

import time
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never
from uuid import UUID

import structlog
from sqlalchemy.orm import Session

from app.broker import Delivery
from app.functions import artifacts, languages, queries, version_queries
from app.functions.domain import MAX_DELIVERIES, Provenance, VersionStatus, digest_of
from app.functions.models import Version
from app.platform import Platform
from app.queue import put_off, settle
from app.toolchains import Compiled, CompileFailed, State, ToolchainMissing, toolchain

log = structlog.get_logger()

PLATFORM_FAILED = "the platform failed to compile this; the operators' logs say why"
STOPPED = "an operator stopped the compilation; send the source again to have it compiled"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a version cannot be executed, in its author's terms. Without a log the fault is the platform's."""

    error: str
    log: str | None = None


@dataclass(frozen=True, slots=True)
class Built:
    """What compilation made; nothing of native code where functions share a module whose code is there already."""

    compiled: Compiled
    artifact: artifacts.Artifact | None
    wasm_digest: str

    @property
    def provenance(self) -> Provenance:
        """By what it was made, and its digests."""
        compiled = self.compiled
        return Provenance(
            toolchain=compiled.toolchain,
            toolchain_version=compiled.toolchain_version,
            flags=compiled.flags,
            wasm_digest=self.wasm_digest,
            layer_digest=None if compiled.layer is None else digest_of(compiled.layer),
        )


def compile_version(platform: Platform, delivery: Delivery, function_id: UUID, number: int) -> str | None:
    """Compile one version and write what came of it; the message goes in the same transaction. Nothing is open
    meanwhile. Answers the digest of the artifact that is now to be executed, if there is one.
    """
    version = _begin(platform, delivery, function_id, number)
    if version is None:
        return None
    began = time.monotonic()
    result = build(platform, version)
    finished = _finish(platform, delivery, version, result, duration_ms=int((time.monotonic() - began) * 1000))
    return None if finished is None else finished.artifact_digest


def give_up(platform: Platform, delivery: Delivery, function_id: UUID, number: int) -> bool:
    """After a failure of the platform: whether it was the last that is tolerated, and the version is now FAILED."""
    if delivery.deliveries < MAX_DELIVERIES:
        return False
    _fail(platform, delivery, function_id, number, PLATFORM_FAILED)
    return True


def stop(platform: Platform, delivery: Delivery, function_id: UUID, number: int) -> None:
    """An operator has stopped the attempt: the version is FAILED."""
    _fail(platform, delivery, function_id, number, STOPPED)


def _fail(platform: Platform, delivery: Delivery, function_id: UUID, number: int, error: str) -> None:
    with platform.database.transaction() as session:
        version = version_queries.lock(session, function_id, number)
    if version is not None and version.status not in {VersionStatus.READY, VersionStatus.FAILED}:
        _finish(platform, delivery, version, Failure(error), duration_ms=0)


def _begin(platform: Platform, delivery: Delivery, function_id: UUID, number: int) -> Version | None:
    """Mark the attempt; none when there is nothing to do any more."""
    with platform.database.transaction() as session:
        version = version_queries.lock(session, function_id, number)
        if version is None or version.status in {VersionStatus.READY, VersionStatus.FAILED}:
            settle(session, delivery)
            return None
        if languages.readiness(platform, version.language).state is State.PREPARING:
            put_off(session, delivery, seconds=languages.ASK_AGAIN_SECONDS)
            return None
        version.status = VersionStatus.COMPILING
        version.compile_attempts += 1
        version.compile_started_at = queries.now(session)
    log.info("version.compiling", language=version.language, attempt=version.compile_attempts)
    return version


def build(platform: Platform, version: Version) -> Built | Failure:
    """Compile a version's source; nothing is written, and nothing may be open meanwhile."""
    language = toolchain(version.language)
    try:
        compiled = languages.compiled(platform, language, version.source)
        if compiled.layer is not None and artifacts.is_built(platform, digest := digest_of(compiled.wasm)):
            return Built(compiled, None, digest)
        artifact = artifacts.of(compiled, language.source_name)
        return Built(compiled, artifact, artifact.digest)
    except CompileFailed as error:
        return Failure(error.diagnostics, error.log)
    except ToolchainMissing as error:
        return Failure(f"{language.source_name}:1:1: {error}")


def _finish(
    platform: Platform, delivery: Delivery, version: Version, result: Built | Failure, *, duration_ms: int
) -> Version | None:
    """Write the end; none where there is nothing to write it to any more."""
    with platform.database.transaction() as session:
        queries.hold(session, version.function_id)
        if not settle(session, delivery):
            log.warning("version.stale", attempt=version.compile_attempts)
            return None
        locked = version_queries.lock(session, version.function_id, version.number)
        if locked is None:
            return None
        now = queries.now(session)
        match result:
            case Failure():
                _record_failure(locked, result)
            case Built():
                if result.artifact is not None:
                    artifacts.store(platform, session, result.artifact, now=now)
                if result.compiled.layer is not None:
                    _store_layer(session, result.compiled.layer, now=now)
                version_queries.activate(session, version.function_id, version.number, now=now)
                _record(locked, result)
            case _:
                assert_never(result)
        locked.compile_ms, locked.compiled_at = duration_ms, now
    log.info("version.compiled", status=str(locked.status), duration_ms=duration_ms)
    return locked


def _store_layer(session: Session, content: bytes, *, now: datetime) -> None:
    queries.store_layer(session, digest=digest_of(content), content=content, now=now)


def _record_failure(version: Version, failure: Failure) -> None:
    version.status, version.compile_error, version.compile_log = VersionStatus.FAILED, failure.error, failure.log


def _record(version: Version, built: Built) -> None:
    """Its sizes and its lines are those of what is its own: the layer, where it shares the module."""
    compiled, artifact, provenance = built.compiled, built.artifact, built.provenance
    version.status = VersionStatus.READY
    version.artifact_digest, version.layer_digest = provenance.digests
    if compiled.layer is not None:
        version.wasm_bytes, version.native_bytes = len(compiled.layer), 0
    elif artifact is not None:
        version.wasm_bytes, version.native_bytes = len(artifact.wasm), len(artifact.native)
        version.lines = artifact.lines
    version.toolchain, version.toolchain_version = provenance.toolchain, provenance.toolchain_version
    version.flags, version.compile_log = list(provenance.flags), compiled.log
