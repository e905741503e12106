"""QuickJS-NG's C source, from the source distribution of the package `quickjs-ng`: fetched once, pinned by its hash."""

import hashlib
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Final

from app.toolchains.errors import InstallFailed
from app.toolchains.fetching import fetch
from app.toolchains.parts import Part

VERSION: Final = "0.17.0.2"
_SHA256: Final = "43d2e48272208721a7aaea8e3f02d4b9318f12ef20cc4f5421b59d9a470706ef"
_ARCHIVE: Final = f"quickjs_ng-{VERSION}"

#: What is compiled; the rest is included.
SOURCES: Final = ("dtoa.c", "libregexp.c", "libunicode.c", "quickjs.c")

_FOLDER = Path(__file__).parent / "quickjs"


def folder() -> Path:
    """Where the source lies once it is installed."""
    return _SOURCE.folder(_FOLDER)


def installed() -> bool:
    """Whether exactly the pinned version is there."""
    return _SOURCE.is_made(_FOLDER)


def install() -> None:
    """Fetch it with pip unless it is there; raises InstallFailed with pip's own reason."""
    _SOURCE.make(_FOLDER)


def _unpack(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        with tarfile.open(_fetched(Path(scratch))) as packed:
            packed.extractall(scratch, filter="data")
        shutil.copytree(Path(scratch) / _ARCHIVE / "upstream-quickjs", folder, dirs_exist_ok=True)


def _fetched(scratch: Path) -> Path:
    wanted = scratch / "wanted.txt"
    wanted.write_text(f"quickjs-ng=={VERSION} --hash=sha256:{_SHA256}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--no-binary", "quickjs-ng", "--require-hashes", "-r", str(wanted), "--dest", str(scratch)]
    fetch("pip download", command)
    archive = scratch / f"{_ARCHIVE}.tar.gz"
    if hashlib.sha256(archive.read_bytes()).hexdigest() != _SHA256:
        message = f"pip download brought another {archive.name} than was asked for"
        raise InstallFailed(message)
    return archive


_SOURCE = Part("quickjs", (VERSION, _SHA256), _unpack)
