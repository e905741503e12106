"""Artifacts by digest: made native in the jail and sealed."""

import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from pathlib import Path
from uuid import UUID

import structlog
from sqlalchemy.orm import Session

from app.functions import queries
from app.functions.domain import digest_of
from app.platform import Platform
from app.toolchains import Compiled, SharedModule, diagnostics, jail, parts
from app.wasm import lines, precompile, sections
from app.wasm import native as native_code
from app.wasm.engine import configuration_key
from app.wasm.errors import PrecompileFailed

log = structlog.get_logger()

#: Native code of the largest accepted module.
_MOST_OUTPUT_BYTES = 192 << 20
#: How whoever makes native code ends when it has answered: with it, or with why there is none.
_ANSWERS = (0, 1)
#: For a component of our own, which is larger than any module that is accepted.
_LIMITS_OF_OURS = replace(parts.LIMITS, stdout_bytes=_MOST_OUTPUT_BYTES)


class ArtifactMissing(Exception):
    """The database has no such artifact."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """WebAssembly with the native code that was made of it here."""

    digest: str
    wasm: bytes
    native: bytes
    lines: bytes


def of(compiled: Compiled, source_name: str, limits: jail.JailLimits | None = None) -> Artifact:
    """What a toolchain made, with the native code that it brought along, or with that of `build`."""
    if compiled.native is None:
        return build(compiled.wasm, source_name, limits)
    return _brought(compiled.wasm, compiled.native)


def share(platform: Platform, module: SharedModule) -> str:
    """Keep what functions share for an hour, also while there are none: the first then need not wait for it. Answers
    its digest.
    """
    digest = _digest_of_file(module.wasm)
    with platform.database.transaction() as session:
        if queries.renew_artifact(session, digest) and queries.has_native(session, digest, target(platform)):
            return digest
    wasm = module.wasm.read_bytes()
    artifact = build(wasm) if module.native is None else _brought(wasm, module.native)
    with platform.database.transaction() as session:
        store(platform, session, artifact, now=queries.now(session))
    log.info("artifact.shared", artifact=digest)
    return digest


@cache
def _digest_of_file(path: Path) -> str:
    """Of a file in a part, which is never another one."""
    return digest_of(path.read_bytes())


def _brought(wasm: bytes, native: Path) -> Artifact:
    return Artifact(digest_of(wasm), wasm, native.read_bytes(), b"")


def store(platform: Platform, session: Session, artifact: Artifact, *, now: datetime) -> None:
    """Write an artifact and its sealed native code; what is there already stays."""
    queries.store_artifact(session, digest=artifact.digest, wasm=artifact.wasm, now=now)
    queries.store_native(
        session,
        digest=artifact.digest,
        target=target(platform),
        native=artifact.native,
        mac=seal(platform, artifact),
        now=now,
    )


def build(wasm: bytes, source_name: str = "module", limits: jail.JailLimits | None = None) -> Artifact:
    """Validate a module and compile it to native code, in a jail. Raises `CompileFailed` where the module is refused,
    or is too much.
    """
    limits = replace(limits or jail.JailLimits(), stdout_bytes=_MOST_OUTPUT_BYTES)
    result = jail.run(precompile.COMMAND, stdin=wasm, readable=precompile.READABLE, limits=limits)
    if result.exceeded is not None or result.returncode not in _ANSWERS:
        raise diagnostics.unfinished(result, limits, source_name)
    try:
        made = precompile.parse_reply(result.stdout)
    except PrecompileFailed as error:
        raise diagnostics.source_failed(source_name, str(error)) from error
    return Artifact(digest_of(made.wasm), made.wasm, made.native, made.lines)


def build_again(wasm: bytes) -> Artifact:
    """The same for what the database holds. A component among it was built by a toolchain of ours: what users send is
    kept only if `build` took it, which takes no component.
    """
    if not sections.is_component(wasm):
        return build(wasm)
    command = (*precompile.COMMAND, "--component")
    result = jail.run(command, stdin=wasm, readable=precompile.READABLE, limits=_LIMITS_OF_OURS)
    made = precompile.parse_reply(result.stdout)
    return Artifact(digest_of(made.wasm), made.wasm, made.native, made.lines)


def is_built(platform: Platform, digest: str) -> bool:
    """Whether there is native code of ours for this machine."""
    with platform.database.transaction() as session:
        return queries.has_native(session, digest, target(platform))


def sweep() -> None:
    """Remove the jail's directories and control groups that nobody owns any more."""
    jail.sweep(Path(tempfile.gettempdir()))
    jail.sweep_groups()


def place_of(platform: Platform, function_id: UUID, number: int, frames: Sequence[int]) -> str | None:
    """The place in a version's source of the first of these instructions that is its author's."""
    with platform.database.transaction() as session:
        table = queries.lines(session, function_id, number)
    return lines.place_of(table or b"", frames)


def target(platform: Platform) -> str:
    """What native code is made for: engine, processor, and the key that seals it."""
    return f"{configuration_key()}.{hashlib.sha256(platform.settings.secret_key).hexdigest()[:8]}"


def seal(platform: Platform, artifact: Artifact) -> bytes:
    """The proof that we made this native code."""
    return native_code.seal(artifact.native, platform.settings.secret_key, identity(artifact.digest, target(platform)))


def identity(digest: str, made_for: str) -> str:
    """What the seal of native code is bound to."""
    return f"{digest}.{made_for}"
