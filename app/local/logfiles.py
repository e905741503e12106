"""Log files of child processes: kept from growing for ever, and read from their end."""

import os
from pathlib import Path
from typing import BinaryIO

_READ_BYTES = 65_536


def rotated(path: Path, largest_bytes: int) -> BinaryIO:
    """Open `path` to append, for the caller to close. More than `largest_bytes` in it move to `path.1` first."""
    if path.exists() and path.stat().st_size > largest_bytes:
        path.replace(path.with_name(f"{path.name}.1"))
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    file = os.fdopen(descriptor, "ab")
    file.seek(0, os.SEEK_END)
    return file


def tail(path: Path, *, lines: int = 40, since: int = 0) -> str:
    """The last lines of a log, from the byte `since` on; empty when there is none."""
    try:
        with path.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(since, end - _READ_BYTES))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.rstrip().splitlines()[-lines:])
