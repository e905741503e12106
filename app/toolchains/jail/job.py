"""The private directory of one run, and the removal of those that nobody owns any more.

A directory is owned by whoever holds an exclusive flock on it; the kernel lets go of it when the owner dies, however it
dies, so that nothing has to be guessed from process ids.
"""

import fcntl
import logging
import os
import stat
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from app.toolchains.jail.inside.privileges import FIRST_UID
from app.toolchains.jail.limits import JailError

PREFIX = "kiln-job-"
_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_OUTPUT = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

log = logging.getLogger(__name__)


class Job:
    """A directory (0700) that lives as long as the `with` block. `path` is its name, `descriptor` the thing itself."""

    def __init__(self, scratch: Path) -> None:
        self.path, self.descriptor = _create(scratch)
        self._scratch = scratch

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        try:
            _remove(self.descriptor, self.path)
        except OSError as error:
            # The run's result is sound all the same; a later sweep tries again.
            log.warning("job directory was not removed: %s", error, extra={"event": "jail.leftover"})
        finally:
            os.close(self.descriptor)

    def write(self, files: Mapping[str, bytes]) -> None:
        """Put files into the directory. Names are plain: no folders."""
        for name, content in files.items():
            _check_name(name)
            descriptor = os.open(
                name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode=0o600, dir_fd=self.descriptor
            )
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)

    def take(self, name: str, limit_bytes: int) -> bytes:
        """Read a file that the program left; raises OutputRefused unless it is a plain file of bounded size.

        The program may have planted a link, a device, a pipe or a second name of a file elsewhere, so the file is
        judged by its open descriptor and never by its name.
        """
        _check_name(name)
        try:
            descriptor = os.open(name, _OPEN_OUTPUT, dir_fd=self.descriptor)
        except FileNotFoundError as error:
            raise OutputRefused("was not written") from error
        except OSError as error:
            raise OutputRefused("is not a plain file") from error
        try:
            return _plain_content(descriptor, limit_bytes)
        finally:
            os.close(descriptor)


class OutputRefused(JailError):
    """The file that the program left was not taken."""


class OutputTooLarge(OutputRefused):
    """The file that the program left is too large."""


def _plain_content(descriptor: int, limit_bytes: int) -> bytes:
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        raise OutputRefused("is not a plain file")
    with os.fdopen(descriptor, "rb", closefd=False) as file:
        content = file.read(limit_bytes + 1)
    if len(content) > limit_bytes:
        message = f"is larger than {limit_bytes} bytes"
        raise OutputTooLarge(message)
    return content


def sweep(scratch: Path | None = None) -> int:
    """Remove the job directories whose workers are dead; returns how many. Running jobs and other users' stay."""
    base = scratch or Path(tempfile.gettempdir())
    removed = 0
    for path in base.glob(f"{PREFIX}*"):
        with suppress(OSError):
            descriptor = os.open(path, _OPEN_DIRECTORY)
            try:
                if _is_ours(os.fstat(descriptor).st_uid):
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    _remove(descriptor, path)
                    removed += 1
            finally:
                os.close(descriptor)
    return removed


def _is_ours(owner: int) -> bool:
    """Whether a directory of this user is a job of ours: a worker that is root gives each job a user of its own."""
    return owner == os.geteuid() or (os.geteuid() == 0 and owner >= FIRST_UID)


def _create(scratch: Path) -> tuple[Path, int]:
    while True:
        try:
            path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=scratch))
        except OSError as error:
            raise JailError(f"no job directory could be made in {scratch}: {error.strerror}") from error
        try:
            descriptor = os.open(path, _OPEN_DIRECTORY)
        except FileNotFoundError:
            continue
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        # A sweep that came between the two lines above has removed the directory: then it has no name left.
        if os.fstat(descriptor).st_nlink > 0 and path.exists():
            return path, descriptor
        os.close(descriptor)


def _remove(descriptor: int, path: Path) -> None:
    """Empty the directory behind `descriptor`, then remove its name.

    Directories inside directories are first moved to the top, so that neither depth nor the length of a path matters,
    and each is opened by descriptor without following links, and made accessible again if its mode forbids it.
    """
    moved = 0
    _make_accessible(descriptor)
    while names := os.listdir(descriptor):
        for name in names:
            if _unlinked(name, descriptor):
                continue
            inner = _open_inner(name, descriptor)
            try:
                for inner_name in os.listdir(inner):  # noqa: PTH208 - a descriptor has no Path
                    if not _unlinked(inner_name, inner):
                        os.close(_open_inner(inner_name, inner))
                        moved += 1
                        os.rename(inner_name, f".moved-{moved}", src_dir_fd=inner, dst_dir_fd=descriptor)
            finally:
                os.close(inner)
            os.rmdir(name, dir_fd=descriptor)
    path.rmdir()


def _unlinked(name: str, directory: int) -> bool:
    """Remove a file or a link; False if it is a directory."""
    try:
        os.unlink(name, dir_fd=directory)
    except IsADirectoryError:
        return False
    return True


def _open_inner(name: str, directory: int) -> int:
    """Open a directory in a directory after making sure that its mode lets us read and change it."""
    handle = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        _make_accessible(handle)
        return os.open(".", _OPEN_DIRECTORY, dir_fd=handle)
    finally:
        os.close(handle)


def _make_accessible(descriptor: int) -> None:
    # By way of /proc, because fchmod refuses the only kind of descriptor that an unreadable directory gives.
    Path(f"/proc/self/fd/{descriptor}").chmod(0o700)


def _check_name(name: str) -> None:
    if name in {"", ".", ".."} or "/" in name or "\0" in name:
        message = f"{name!r} is not a plain file name"
        raise JailError(message)
