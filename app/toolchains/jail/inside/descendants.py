"""Everything that a process has started, and that started in turn; orphans stay among them (PR_SET_CHILD_SUBREAPER)."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
else:
    # What `signal` adds to it is enums, and they take 10 ms to import.
    import _signal as signal


def descendants() -> set[int]:
    """The process ids of all that this process has started."""
    found: set[int] = set()
    look = [os.getpid()]
    try:
        while look:
            for child in children(look.pop()):
                if child not in found:
                    found.add(child)
                    look.append(child)
    except FileNotFoundError:
        return _by_parents()
    return found


def children(pid: int) -> list[int]:
    """The children of a process, of every thread of it; none when it has gone. Raises FileNotFoundError where the
    kernel keeps no such list.
    """
    found: list[int] = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208 - pathlib takes longer to import than all this
    except FileNotFoundError:
        return []
    for thread in threads:
        try:
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as children:  # noqa: PTH123 - see above
                found += map(int, children.read().split())
        except ProcessLookupError:
            continue
        except FileNotFoundError:
            if os.path.exists(f"/proc/{pid}/task/{thread}"):  # noqa: PTH110 - see above
                raise
    return found


def kill(pid: int) -> None:
    """Kill a process, if it is there and may be killed."""
    try:
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def kill_all() -> None:
    """Kill and reap until there is none."""
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                for pid in descendants():
                    kill(pid)
                os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _by_parents() -> set[int]:
    parents: dict[int, int] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                with open(f"/proc/{entry.name}/stat", "rb") as stat:  # noqa: PTH123 - see above
                    # The command's name stands in brackets and may contain any character.
                    fields = stat.read().rpartition(b")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
    found = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {os.getpid()}
