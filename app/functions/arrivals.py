"""Tells what comes into a directory, at once and without looking: inotify(7)."""

import ctypes
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

#: A file was renamed into the directory.
_MOVED_TO: Final = 0x80
_EVENT: Final = struct.Struct("iIII")
_BUFFER_BYTES: Final = 65_536


class Arrivals:
    """The names of the files that are renamed into a directory from now on. Whoever asks for the next one waits for it,
    in the kernel.

    Raises OSError where the kernel watches nothing more for this user.
    """

    def __init__(self, directory: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = libc.inotify_init1(os.O_CLOEXEC)
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        if libc.inotify_add_watch(self._descriptor, os.fsencode(directory), _MOVED_TO) < 0:
            error = ctypes.get_errno()
            os.close(self._descriptor)
            raise OSError(error, "inotify_add_watch", str(directory))

    def __iter__(self) -> Iterator[str]:
        while True:
            yield from _names(os.read(self._descriptor, _BUFFER_BYTES))


def _names(events: bytes) -> Iterator[str]:
    """An event is followed by its name, padded with NUL; that of a queue that ran over has none."""
    at = 0
    while at < len(events):
        length = _EVENT.unpack_from(events, at)[3]
        at += _EVENT.size
        if name := events[at : at + length].rstrip(b"\0"):
            yield os.fsdecode(name)
        at += length
