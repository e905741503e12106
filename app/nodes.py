"""Names of workers' nodes: a host has one for each worker that runs there, so that each can be told from the others and
steered by itself, however many are started with one command.
"""

import fcntl
import os
from itertools import count
from pathlib import Path
from urllib.parse import quote

from app.addresses import private_directory


def take_name(wanted: str, directory: Path) -> str:
    """`wanted` for as long as this process lives, or `wanted-2`, `wanted-3` and so on where others that live have those
    of `directory` before. Raises OSError where that cannot be written.
    """
    names = (wanted if number == 1 else f"{wanted}-{number}" for number in count(1))
    return next(name for name in names if _take(private_directory(directory) / quote(name, safe="@")))


def _take(path: Path) -> bool:
    """Lock a file by a lock that the kernel gives back when this process ends, whatever children it leaves (fcntl(2)).
    The descriptor stays open: to close it would be to give the lock back.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        os.close(descriptor)
        return False
    return True
