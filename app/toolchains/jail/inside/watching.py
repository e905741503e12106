"""What all processes and files of a job amount to together, which no limit of a single process bounds."""

from __future__ import annotations

import os

from app.toolchains.jail.inside.descendants import descendants

#: How often it is looked at.
TICK_SECONDS = 0.1

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_MOST_FILES = 20_000


def excess(directory: str, *, memory_bytes: int, files_bytes: int, processes: int) -> str | None:
    """The first bound that is exceeded: `processes`, `memory` or `files`."""
    running = descendants()
    if len(running) > processes:
        return "processes"
    if sum(map(_memory_of, running)) > memory_bytes:
        return "memory"
    return "files" if _is_larger(directory, files_bytes) else None


def _memory_of(pid: int) -> int:
    """Bytes of its own that a process has in memory."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as statm:  # noqa: PTH123 - pathlib takes longer to import than all this
            _, resident, shared = statm.read().split()[:3]
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return (int(resident) - int(shared)) * _PAGE_BYTES


def _is_larger(directory: str, files_bytes: int) -> bool:
    """Whether the files beneath a directory take more than that on the disk, or are too many. Links are not followed;
    what the program has made unreadable, or deeper than a path can say, counts as too much.
    """
    size = count = 0
    look = [directory]
    while look:
        try:
            entries = list(os.scandir(look.pop()))
        except FileNotFoundError:
            continue
        except OSError:
            return True
        for entry in entries:
            try:
                size += entry.stat(follow_symlinks=False).st_blocks * 512
            except FileNotFoundError:
                continue
            except OSError:
                return True
            count += 1
            if entry.is_dir(follow_symlinks=False):
                look.append(entry.path)
        if size > files_bytes or count > _MOST_FILES:
            return True
    return False
