"""Locks that the kernel gives back when their holders die, however they die (flock(2))."""

import fcntl
import os
from pathlib import Path


class FileLock:
    """An exclusive lock on a file, which holds its owner's process id for people to read. The file stays when it is
    released.

    A child that inherits `descriptor` holds the lock, too: it is free when the last of them is gone.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.descriptor: int | None = None

    def take(self) -> bool:
        """Take it, unless others hold it; true when it is ours, also when it was before."""
        if self.descriptor is not None:
            return True
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self.descriptor = descriptor
        return True

    def release(self) -> None:
        """Give up our share of it."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None

    def holder(self) -> str:
        """What the file says of who took it last, such as `process 123`."""
        written = self._path.read_text().strip()
        return f"process {written}" if written else "another process"
