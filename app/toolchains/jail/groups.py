"""A control group for each job, where the operator has delegated some (cgroups(7), version 2).

Then the kernel holds the bounds that the supervisor otherwise looks at ten times a second, and ends the whole group at
once, whatever has become of it. It is used where Kiln's processes are in a group whose parent has the attribute
`user.delegate`, which systemd sets for `Delegate=`, belongs to Kiln's user, and has no processes of its own, as
systemd's `DelegateSubgroup=` makes it. Nothing else is touched: groups have one master.
"""

import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

PREFIX = "kiln-job-"
_CONTROLLERS = ("memory", "pids")
_PATIENCE_SECONDS = 1.0
#: What the kernel counts for a job beside the memory of its processes: its files that have been read.
_CACHE_BYTES = 64 << 20

log = logging.getLogger(__name__)


class Group:
    """One job's group. Made empty; whoever writes into `descriptor` is in it, and so is all that it starts."""

    def __init__(self, folder: Path, *, memory_bytes: int, processes: int) -> None:
        self._folder = folder
        folder.mkdir()
        _set(folder / "memory.max", memory_bytes + _CACHE_BYTES)
        _set(folder / "memory.swap.max", 0)
        _set(folder / "memory.oom.group", 1)
        _set(folder / "pids.max", processes)
        self.descriptor = os.open(folder / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)

    @property
    def ran_out_of_memory(self) -> bool:
        """Whether the kernel has ended it because of its memory."""
        try:
            events = (self._folder / "memory.events").read_text()
        except FileNotFoundError:
            return False
        return any(line.startswith("oom_kill ") and not line.endswith(" 0") for line in events.splitlines())

    def end(self) -> None:
        """Kill all that is in it, and remove it."""
        os.close(self.descriptor)
        if not _removed(self._folder):
            log.warning("control group was not removed", extra={"event": "jail.leftover", "path": str(self._folder)})


@contextmanager
def group(*, memory_bytes: int, processes: int) -> Iterator[Group | None]:
    """A new group until the block ends, which kills all that is in it; none where none were delegated."""
    parent = _delegated()
    if parent is None:
        yield None
        return
    name = f"{PREFIX}{os.getpid()}-{time.monotonic_ns()}"
    made = Group(parent / name, memory_bytes=memory_bytes, processes=processes)
    try:
        yield made
    finally:
        made.end()


def are_delegated() -> bool:
    """Whether each job gets one."""
    return _delegated() is not None


def sweep() -> int:
    """Remove the groups of workers that are dead; returns how many."""
    parent = _delegated()
    if parent is None:
        return 0
    left = [path for path in parent.glob(f"{PREFIX}*") if not _lives(int(path.name.split("-")[2]))]
    return sum(map(_removed, left))


@cache
def _delegated() -> Path | None:
    """The group beneath which groups may be made."""
    try:
        here = _mounted(Path("/proc/self/mountinfo").read_text()) / _own(Path("/proc/self/cgroup").read_text())
        above = here.parent
        if os.getxattr(above, "user.delegate") != b"1" or (above / "cgroup.procs").read_text():
            return None
        for controller in _CONTROLLERS:
            # What the operator has not given is looked at by the supervisor, as everywhere.
            with suppress(OSError):
                (above / "cgroup.subtree_control").write_text(f"+{controller}")
        return above if os.access(above, os.W_OK) else None
    except (OSError, LookupError):
        return None


def _mounted(mounts: str) -> Path:
    """Where the groups of version 2 are; raises LookupError."""
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        if after.startswith("cgroup2 ") and before.split()[3] == "/":
            return Path(before.split()[4])
    raise LookupError


def _own(membership: str) -> str:
    """The path of this process's group; raises LookupError."""
    groups: Mapping[str, str] = dict(line.rsplit(":", 1) for line in membership.splitlines())
    path = groups["0:"].lstrip("/")
    if not path:
        raise LookupError
    return path


def _set(file: Path, value: int) -> None:
    # A controller that was not given has no file here.
    if file.exists():
        file.write_text(str(value))


def _removed(folder: Path) -> bool:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            # Again and again: before Linux 5.14 there is no such file, and the supervisor's kill must do.
            if (kill := folder / "cgroup.kill").exists():
                kill.write_text("1")
            folder.rmdir()
        except FileNotFoundError:
            return True
        except OSError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.002)
        else:
            return True


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
