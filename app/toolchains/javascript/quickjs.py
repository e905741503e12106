"""QuickJS-NG's C source, from the source distribution of the package `quickjs-ng`: fetched once, pinned by its hash."""

import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Final

from app.toolchains.errors import InstallFailed

VERSION: Final = "0.17.0.2"
_SHA256: Final = "43d2e48272208721a7aaea8e3f02d4b9318f12ef20cc4f5421b59d9a470706ef"
_ARCHIVE: Final = f"quickjs_ng-{VERSION}"
_FETCH_SECONDS = 600

_FOLDER = Path(__file__).parent / "quickjs"
#: What is compiled; the rest is included.
SOURCES: Final = ("dtoa.c", "libregexp.c", "libunicode.c", "quickjs.c")


def folder() -> Path:
    """Where the source lies once it is installed."""
    return _FOLDER / VERSION


def installed() -> bool:
    """Whether exactly the pinned version is there."""
    return folder().is_dir()


def install() -> None:
    """Fetch it with pip unless it is there; raises InstallFailed with pip's own reason."""
    if installed():
        return
    with tempfile.TemporaryDirectory() as scratch:
        archive = _fetched(Path(scratch))
        with tarfile.open(archive) as packed:
            packed.extractall(scratch, filter="data")
        _FOLDER.mkdir(exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=_FOLDER, prefix="."))
        shutil.copytree(Path(scratch) / _ARCHIVE / "upstream-quickjs", draft / VERSION)
        try:
            (draft / VERSION).rename(folder())
        except OSError as error:
            if not installed():
                raise InstallFailed(str(error)) from error
        shutil.rmtree(draft, ignore_errors=True)


def _fetched(scratch: Path) -> Path:
    wanted = scratch / "wanted.txt"
    wanted.write_text(f"quickjs-ng=={VERSION} --hash=sha256:{_SHA256}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--no-binary", "quickjs-ng", "--require-hashes", "-r", str(wanted), "--dest", str(scratch)]
    try:
        ended = subprocess.run(command, capture_output=True, timeout=_FETCH_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        message = f"pip did not finish within {_FETCH_SECONDS} s"
        raise InstallFailed(message) from error
    archive = scratch / f"{_ARCHIVE}.tar.gz"
    if ended.returncode != 0 or hashlib.sha256(archive.read_bytes()).hexdigest() != _SHA256:
        raise InstallFailed(f"pip download failed: {ended.stderr.decode(errors='replace').strip()}")
    return archive
