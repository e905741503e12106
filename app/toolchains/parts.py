"""What all compilations of a language share and no package brings: libraries and caches, built once on each machine."""

import fcntl
import hashlib
import io
import os
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.toolchains.errors import PartFailed
from app.toolchains.jail import JailLimits, run

#: For building what no user has written: as long as a slow machine may take.
LIMITS = JailLimits(
    wall_ms=900_000,
    cpu_seconds=1800,
    memory_bytes=4096 << 20,
    file_bytes=1024 << 20,
    files_bytes=4096 << 20,
    open_files=1024,
    output_bytes=1024 << 20,
)

#: Packs the files that fit the patterns given as arguments, each by its name alone.
_PACK = """
import pathlib, sys, tarfile
with tarfile.open("part.tar", "w") as part:
    for pattern in sys.argv[1:]:
        for path in sorted(pathlib.Path().glob(pattern)):
            part.add(path, path.name)
"""


@dataclass(frozen=True)
class Part:
    """A folder that `recipe` fills. Its name changes with `made_of`, so that what was made of something else is not
    taken for it.

    Any number of processes may make it; one does, and the others wait.
    """

    name: str
    made_of: Sequence[str | bytes]
    recipe: Callable[[Path], None]

    def folder(self, shared: Path) -> Path:
        """Where it lies beneath the folder of all parts."""
        digest = hashlib.sha256()
        for one in self.made_of:
            content = one.encode() if isinstance(one, str) else one
            digest.update(len(content).to_bytes(8, "big") + content)
        return shared / f"{self.name}-{digest.hexdigest()[:16]}"

    def is_made(self, shared: Path) -> bool:
        """Whether it is there, whole."""
        return self.folder(shared).is_dir()

    def make(self, shared: Path) -> Path:
        """Make it unless it is there; raises what the recipe raises, and leaves nothing then."""
        folder = self.folder(shared)
        if folder.is_dir():
            return folder
        shared.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(shared / f".{self.name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.is_dir():
                self._fill(folder)
        finally:
            os.close(lock)
        return folder

    def _fill(self, folder: Path) -> None:
        draft = Path(tempfile.mkdtemp(prefix=f".{self.name}-", dir=folder.parent))
        try:
            self.recipe(draft)
            draft.rename(folder)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise


def build(
    folder: Path,
    *commands: Sequence[str],
    kept: Sequence[str],
    readable: Sequence[Path],
    files: Mapping[str, bytes] | None = None,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Fill a part's folder with what commands leave in the jail: the files and folders that fit the patterns `kept`,
    each by its name alone. Raises PartFailed when one of the commands fails.
    """
    pack = [sys.executable, "-I", "-S", "-c", _PACK, *kept]
    result = run(
        *commands,
        pack,
        files=files,
        outputs=["part.tar"],
        environment=environment,
        readable=[*readable, Path(sys.prefix), Path(sys.base_prefix)],
        limits=LIMITS,
    )
    if result.returncode != 0 or "part.tar" not in result.outputs:
        raise PartFailed(result.stderr.decode(errors="replace")[-2000:].strip() or f"ended with {result.returncode}")
    with tarfile.open(fileobj=io.BytesIO(result.outputs["part.tar"])) as part:
        part.extractall(folder, filter="data")
