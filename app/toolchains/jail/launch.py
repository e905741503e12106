"""Supervises one jailed process.

Run as a file by a bare interpreter (`python -I -S launch.py …`), so that the limits are set in a process without
threads and only the standard library is needed:

    launch.py STATUS_FD WORKER_PID DATA_BYTES CPU_SECONDS FILE_BYTES OPEN_FILES PROCESSES PROGRAM [ARGUMENT …]

It writes lines to the status descriptor: `started PID`, then `ended RETURNCODE PEAK_MEMORY_BYTES`, or `failed REASON`
when the program could not be started. SIGTERM, which it also gets when the worker dies, means to kill everything now.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from contextlib import suppress

# Importing typing and pathlib would double the time that this file takes to start.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import NoReturn

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
EXIT_NOT_STARTED = 126

_libc = ctypes.CDLL(None, use_errno=True)


def prctl(option: int, value: int) -> None:
    """Set an attribute of this process; raises OSError where the kernel refuses."""
    if _libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def main(arguments: list[str]) -> int:
    """Run the program, then kill whatever it left, then report."""
    status, worker, *limits = (int(argument) for argument in arguments[:7])
    os.set_inheritable(status, False)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    # The signal waits until there is a child to kill: between fork and the handler it would end only the supervisor.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != worker:
        return EXIT_NOT_STARTED
    supervisor = os.getpid()
    child = os.fork()
    if child == 0:
        _become(arguments[7:], limits, supervisor, status)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)

    signal.signal(signal.SIGTERM, stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    with suppress(BrokenPipeError):
        os.write(status, b"started %d\n" % child)
    _, wait_status, usage = os.wait4(child, 0)
    kill_descendants()
    with suppress(BrokenPipeError):
        os.write(status, b"ended %d %d\n" % (os.waitstatus_to_exitcode(wait_status), usage.ru_maxrss * 1024))
    return 0


def _become(argv: list[str], limits: list[int], supervisor: int, status: int) -> NoReturn:
    """Turn the forked child into the jailed program. Every bound is set here, before its first instruction."""
    try:
        os.setsid()
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != supervisor:
            os._exit(EXIT_NOT_STARTED)
        os.umask(0o077)
        set_limits(*limits)
        prctl(PR_SET_NO_NEW_PRIVS, 1)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, set())
        os.execv(argv[0], argv)  # noqa: S606 - this is what the file is for
    except BaseException as error:  # noqa: BLE001 - nothing may escape into the supervisor's code after the fork
        os.write(status, f"failed {error}\n".encode(errors="replace"))
        os._exit(EXIT_NOT_STARTED)


def set_limits(data_bytes: int, cpu_seconds: int, file_bytes: int, open_files: int, processes: int) -> None:
    """Bound this process and what it starts. A bound that is already tighter stays."""
    _bound(resource.RLIMIT_DATA, data_bytes)
    # Between the soft and the hard limit the kernel sends SIGXCPU, which tells this end apart from other kills.
    _bound(resource.RLIMIT_CPU, cpu_seconds, grace=1)
    _bound(resource.RLIMIT_FSIZE, file_bytes)
    _bound(resource.RLIMIT_NOFILE, open_files)
    _bound(resource.RLIMIT_CORE, 0)
    if os.getuid() != 0:
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
        with suppress(OSError):
            if entry.name.isdigit() and entry.stat().st_uid == uid:
                count += len(os.listdir(f"/proc/{entry.name}/task"))  # noqa: PTH208 - names only, no Path objects
    return count


def kill_descendants() -> None:
    """Kill and reap until there is no child. Orphans of a killed process become our children, so none is missed."""
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                for pid in _descendants():
                    with suppress(ProcessLookupError, PermissionError):
                        os.kill(pid, signal.SIGKILL)
                os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _descendants() -> set[int]:
    parents: dict[int, int] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with suppress(OSError):
                with open(f"/proc/{entry.name}/stat", "rb") as stat:  # noqa: PTH123 - see the imports
                    # The command's name stands in brackets and may contain any character.
                    fields = stat.read().rpartition(b")")[2].split()
                parents[int(entry.name)] = int(fields[1])
    found = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {os.getpid()}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
