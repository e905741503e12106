"""Native code on this machine's disk: fetched from the database, or made again, verified, and mapped by whoever runs
it.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog

from app.functions import artifacts, queries
from app.functions.arrivals import Arrivals
from app.platform import Platform
from app.wasm import native as native_code
from app.wasm.errors import NativeCodeRefused

log = structlog.get_logger()

_CODE: Final = ".cwasm"
_SEAL: Final = ".mac"


class NativeCache:
    """The files of one target, which all processes of the machine share, at most `KILN_NATIVE_CACHE_MB` of them.

    What is loaded has been verified by its seal, wherever it came from. What was not asked for the longest goes first;
    who has mapped it keeps it.
    """

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._target = artifacts.target(platform)
        self._key = platform.settings.secret_key
        self._directory = platform.settings.home / "cache" / "native" / self._target

    def load(self, digest: str) -> native_code.Program:
        """The module of an artifact; raises `ArtifactMissing`. Without room on the disk it is loaded from memory."""
        module = self.load_held(digest)
        if module is None:
            native, mac = self._fetch(digest)
            try:
                self._write(self._path(digest), native, mac)
                module = self._verified(self._path(digest), digest)
            except OSError as error:
                log.warning("native_code.unkept", artifact=digest, error=str(error))
                module = native_code.load_from_memory(native)
        self.touch(digest)
        return module

    def load_held(self, digest: str) -> native_code.Program | None:
        """The module of an artifact whose native code is on disk; none where it is not, or is not ours."""
        try:
            return self._verified(self._path(digest), digest)
        except FileNotFoundError:
            return None
        except NativeCodeRefused:
            log.warning("native_code.refused", artifact=digest, where="disk")
            return None

    def touch(self, digest: str) -> None:
        """Somebody has asked for it: it is not what goes first."""
        with suppress(FileNotFoundError):
            os.utime(self._path(digest))

    def arrivals(self) -> Iterator[str]:
        """The digests of artifacts whose native code comes to disk from now on, whoever brings it; waits for each.
        Raises OSError where nothing can be watched.
        """
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Made at once and not with the first step, so that nothing slips through before that.
        arrivals = Arrivals(self._directory)
        return (name.removesuffix(_CODE) for name in arrivals if name.endswith(_CODE))

    def hold(self, digest: str) -> bool:
        """Bring an artifact's native code to disk unless it is there, without loading it; answers whether it was
        not.
        """
        path = self._path(digest)
        if path.exists():
            return False
        self._write(path, *self._fetch(digest))
        return True

    def _path(self, digest: str) -> Path:
        return self._directory / f"{digest}{_CODE}"

    def _verified(self, path: Path, digest: str) -> native_code.Program:
        mac = path.with_suffix(_SEAL).read_bytes()
        native_code.verify_file(path, mac, self._key, artifacts.identity(digest, self._target))
        return native_code.load(path)

    def _fetch(self, digest: str) -> tuple[bytes, bytes]:
        """Native code from the database, or made here when none of ours is there, and its seal."""
        with self._platform.database.transaction() as session:
            stored = queries.native(session, digest, self._target)
        if stored is not None:
            try:
                native_code.verify(*stored, self._key, artifacts.identity(digest, self._target))
            except NativeCodeRefused:
                log.warning("native_code.refused", artifact=digest, where="database")
                stored = None
        return stored or self._make(digest)

    def _make(self, digest: str) -> tuple[bytes, bytes]:
        with self._platform.database.transaction() as session:
            wasm = queries.wasm(session, digest)
        if wasm is None:
            raise artifacts.ArtifactMissing(digest)
        artifact = artifacts.build_again(wasm)
        mac = artifacts.seal(self._platform, artifact)
        with self._platform.database.transaction() as session:
            queries.forget_native(session, digest, self._target)
            queries.store_native(
                session, digest=digest, target=self._target, native=artifact.native, mac=mac, now=queries.now(session)
            )
        return artifact.native, mac

    def _write(self, path: Path, native: bytes, mac: bytes) -> None:
        """Both files appear by renaming, because others map them; the seal first, so that code is never seen without
        it.
        """
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._make_room(len(native))
        for name, content in ((path.with_suffix(_SEAL), mac), (path, native)):
            descriptor, draft = tempfile.mkstemp(dir=self._directory)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(content)
                Path(draft).replace(name)
            except OSError:
                Path(draft).unlink(missing_ok=True)
                raise

    def _make_room(self, wanted: int) -> None:
        """Remove what was used the longest ago until so many bytes fit."""
        files = []
        for path in self._directory.glob(f"*{_CODE}"):
            try:
                found = path.stat()
            except FileNotFoundError:
                continue
            files.append((found.st_mtime, found.st_size, path))
        total = wanted + sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total <= self._platform.settings.native_cache_mb << 20:
                return
            path.unlink(missing_ok=True)
            path.with_suffix(_SEAL).unlink(missing_ok=True)
            total -= size
