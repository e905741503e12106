"""Child processes that end with their parent, each in a session and process group of its own."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO

_ENTER = Path(__file__).with_name("enter.py")
_PR_SET_CHILD_SUBREAPER = 36
MYSELF = "same:0:0"

Output = int | IO[bytes]


def spawn(
    command: Sequence[str | Path],
    *,
    death_signal: signal.Signals,
    output: Output,
    environment: Mapping[str, str],
    directory: Path | None = None,
    identity: str = MYSELF,
    inherited: Iterable[int] = (),
    errors: Output = subprocess.STDOUT,
) -> subprocess.Popen[bytes]:
    """Start `command`, which gets `death_signal` when the calling THREAD ends: call it from one that lives on.

    `identity` is explained in `enter.py`, `inherited` are descriptors that the command keeps open. Errors go where
    output goes unless `errors` says otherwise. The process id is the command's own, so that signals reach it.
    """
    return subprocess.Popen(
        [sys.executable, "-I", "-S", _ENTER, identity, str(int(death_signal)), str(os.getpid()), *command],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=errors,
        env=environment,
        cwd=directory,
        pass_fds=tuple(inherited),
        start_new_session=True,
    )


def signal_child(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Signal the process alone, not its group; nothing happens when it is gone."""
    with contextlib.suppress(ProcessLookupError):
        child.send_signal(number)


def kill_group(child: subprocess.Popen[bytes]) -> None:
    """Kill the process and all of its group at once. The child must not have been waited for: its id is its group's."""
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)


def ended(child: subprocess.Popen[bytes]) -> bool:
    """Whether the process ended. What it left behind in its group is killed, before its id becomes free for others."""
    if child.returncode is None:
        if os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return False
        kill_group(child)
        child.wait()
    return True


def ending(child: subprocess.Popen[bytes]) -> str:
    """How an ended process ended, in words."""
    code = child.returncode
    return f"exit code {code}" if code >= 0 else f"signal {-code} ({signal.Signals(-code).name})"


def adopt_orphans() -> list[int]:
    """From now on what our descendants leave behind becomes our child (PR_SET_CHILD_SUBREAPER), so that we can end it.

    Returns the children that we have already: a shell that was replaced by us may have started them, and they are not
    ours to end.
    """
    before = orphans(())
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    return before


def orphans(known: Iterable[int]) -> list[int]:
    """The children of this process that it did not start itself; the dead ones among them are laid to rest."""
    try:
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    except FileNotFoundError:  # A kernel built without CONFIG_PROC_CHILDREN; then groups are all that is ended.
        return []
    adopted = set(map(int, children)) - set(known)
    return [pid for pid in adopted if os.waitpid(pid, os.WNOHANG) == (0, 0)]


def kill_orphans(known: Iterable[int]) -> None:
    """Kill every adopted process. Those that become orphans by this are found, too."""
    known = set(known)
    while found := orphans(known):
        for pid in found:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
