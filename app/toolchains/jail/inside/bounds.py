"""How much one process may have (setrlimit(2)). What it starts inherits the bounds, and has each anew."""

from __future__ import annotations

import os
import resource


def bound(*, data_bytes: int, cpu_seconds: int, file_bytes: int, open_files: int, processes: int) -> None:
    """Bound this process. A bound that is already tighter stays."""
    _bound(resource.RLIMIT_DATA, data_bytes)
    # Between the soft and the hard limit the kernel sends SIGXCPU, which tells this end apart from other kills.
    _bound(resource.RLIMIT_CPU, cpu_seconds, grace=1)
    _bound(resource.RLIMIT_FSIZE, file_bytes)
    _bound(resource.RLIMIT_NOFILE, open_files)
    _bound(resource.RLIMIT_CORE, 0)
    _bound(resource.RLIMIT_MSGQUEUE, 0)
    # Not applied to root, whom the jail therefore makes somebody else where it can.
    _bound(resource.RLIMIT_NPROC, _tasks_of(os.getuid()) + processes)


def _bound(kind: int, value: int, *, grace: int = 0) -> None:
    _, ceiling = resource.getrlimit(kind)
    soft, hard = value, value + grace
    if ceiling != resource.RLIM_INFINITY:
        soft, hard = min(soft, ceiling), min(hard, ceiling)
    resource.setrlimit(kind, (soft, hard))


def _tasks_of(uid: int) -> int:
    """Threads that a user runs: the kernel counts them all against the limit on processes."""
    count = 0
    for entry in os.scandir("/proc"):
        try:
            if entry.name.isdigit() and entry.stat().st_uid == uid:
                count += len(os.listdir(f"/proc/{entry.name}/task"))  # noqa: PTH208 - pathlib takes long to import
        except OSError:
            continue
    return count
