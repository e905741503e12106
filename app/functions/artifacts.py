"""Artifacts by digest: made native in the jail and sealed."""

import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from app.functions import queries
from app.functions.domain import digest_of
from app.platform import Platform
from app.toolchains import jail
from app.wasm import lines, precompile
from app.wasm import native as native_code
from app.wasm.engine import configuration_key

#: Native code of the largest accepted module.
_MOST_OUTPUT_BYTES = 192 << 20


class ArtifactMissing(Exception):
    """The database has no such artifact."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """WebAssembly with the native code that was made of it here."""

    digest: str
    wasm: bytes
    native: bytes
    lines: bytes


def build(wasm: bytes) -> Artifact:
    """Validate a module and compile it to native code, in a jail. Raises `PrecompileFailed` where the module is
    refused.
    """
    limits = jail.JailLimits(stdout_bytes=_MOST_OUTPUT_BYTES)
    result = jail.run(precompile.COMMAND, stdin=wasm, readable=precompile.READABLE, limits=limits)
    made = precompile.parse_reply(result.stdout)
    return Artifact(digest_of(made.wasm), made.wasm, made.native, made.lines)


def is_built(platform: Platform, wasm: bytes) -> bool:
    """Whether there is native code of ours for this machine."""
    with platform.database.transaction() as session:
        return queries.has_native(session, digest_of(wasm), target(platform))


def sweep() -> None:
    """Remove the jail's directories that nobody owns any more."""
    jail.sweep(Path(tempfile.gettempdir()))


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
