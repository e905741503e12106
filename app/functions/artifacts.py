"""Artifacts by digest: made native in the jail, sealed, stored, and loaded again by the workers that execute them."""

import hashlib
import os
import tempfile
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import structlog
import wasmtime

from app.functions import queries
from app.platform import Platform
from app.toolchains import jail
from app.wasm import native as native_code
from app.wasm import precompile
from app.wasm.engine import configuration_key
from app.wasm.errors import NativeCodeRefused

log = structlog.get_logger()

#: Modules that one child keeps in memory. Their code is mapped from the cache's files, so children share its pages.
MODULES_IN_MEMORY = 128

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


def build(wasm: bytes) -> Artifact:
    """Validate a module and compile it to native code, in a jail. Raises `PrecompileFailed` where the module is
    refused.
    """
    limits = jail.JailLimits(stdout_bytes=_MOST_OUTPUT_BYTES)
    result = jail.run(precompile.COMMAND, stdin=wasm, readable=precompile.READABLE, limits=limits)
    made = precompile.parse_reply(result.stdout)
    return Artifact(hashlib.sha256(made.wasm).hexdigest(), made.wasm, made.native)


def sweep() -> None:
    """Remove the jail's directories that nobody owns any more."""
    jail.sweep(Path(tempfile.gettempdir()))


def target(platform: Platform) -> str:
    """What native code is made for: engine, processor, and the key that seals it."""
    return f"{configuration_key()}.{hashlib.sha256(platform.settings.secret_key).hexdigest()[:8]}"


def seal(platform: Platform, artifact: Artifact) -> bytes:
    """The proof that we made this native code."""
    return native_code.seal(artifact.native, platform.settings.secret_key, _identity(artifact.digest, target(platform)))


def _identity(digest: str, made_for: str) -> str:
    return f"{digest}.{made_for}"


class Modules:
    """The modules of one worker child: in memory, beneath it on disk, beneath that in the database, and made again
    where all fails.

    Every step verifies the seal before the code is loaded.
    """

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._loaded: OrderedDict[str, wasmtime.Module] = OrderedDict()
        self._target = target(platform)
        self._directory = platform.settings.home / "cache" / "native" / self._target

    def holds(self, digest: str) -> bool:
        """Whether the module is in memory, so that loading it takes no time."""
        return digest in self._loaded

    def load(self, digest: str) -> wasmtime.Module:
        """The module of an artifact; raises `ArtifactMissing`."""
        module = self._loaded.get(digest)
        if module is None:
            module = self._loaded[digest] = self._load(digest)
            if len(self._loaded) > MODULES_IN_MEMORY:
                self._loaded.popitem(last=False)
        self._loaded.move_to_end(digest)
        return module

    def _load(self, digest: str) -> wasmtime.Module:
        path = self._directory / f"{digest}.cwasm"
        try:
            return self._verified(path, digest)
        except FileNotFoundError:
            pass
        except NativeCodeRefused:
            log.warning("native_code.refused", artifact=digest, where="disk")
        self._fetch(path, digest)
        return self._verified(path, digest)

    def _verified(self, path: Path, digest: str) -> wasmtime.Module:
        native_code.verify(
            path.read_bytes(),
            path.with_suffix(".mac").read_bytes(),
            self._platform.settings.secret_key,
            _identity(digest, self._target),
        )
        return native_code.load(path)

    def _fetch(self, path: Path, digest: str) -> None:
        """Bring native code from the database to disk, or make it here when none of ours is there."""
        with self._platform.database.transaction() as session:
            stored = queries.native(session, digest, self._target)
        if stored is not None:
            try:
                native_code.verify(
                    stored[0], stored[1], self._platform.settings.secret_key, _identity(digest, self._target)
                )
            except NativeCodeRefused:
                log.warning("native_code.refused", artifact=digest, where="database")
                stored = None
        self._write(path, *(stored or self._make(digest)))

    def _make(self, digest: str) -> tuple[bytes, bytes]:
        with self._platform.database.transaction() as session:
            wasm = queries.wasm(session, digest)
        if wasm is None:
            raise ArtifactMissing(digest)
        artifact = build(wasm)
        mac = seal(self._platform, artifact)
        with self._platform.database.transaction() as session:
            queries.forget_native(session, digest, self._target)
            queries.store_native(
                session, digest=digest, target=self._target, native=artifact.native, mac=mac, now=queries.now(session)
            )
        return artifact.native, mac

    def _write(self, path: Path, native: bytes, mac: bytes) -> None:
        """Both files appear by renaming, because other children map them; the seal first, so that code is never seen
        without it.
        """
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, content in ((path.with_suffix(".mac"), mac), (path, native)):
            descriptor, draft = tempfile.mkstemp(dir=self._directory)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            Path(draft).replace(name)
