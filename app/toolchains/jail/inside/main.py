"""Confines and supervises one program.

Run by a bare interpreter (`start.py`), so that the bounds are set in a process without threads and only
the standard library is needed, of which it imports the little that starts quickly:

    start.py STATUS_FD GROUP_FD WORKER_PID USER DATA CPU FILE OPEN PROCESSES MEMORY FILES [READABLE …] \\
        -- COUNT PROGRAM [ARGUMENT …] [COUNT PROGRAM [ARGUMENT …] …]

Each program comes with the number of words that it takes; those after the first run if the one before ended with 0.
The working directory is the job's. GROUP_FD is where the program enters its control group, or -1. WORKER_PID is 0
where somebody else sees to it that this ends with the worker; USER is the id that the job gets if the worker is root.
The bounds are those of `JailLimits`, in its units. It writes lines to the status descriptor: `started PID`; `lacking
NAME` for each of `landlock` and `seccomp` that this kernel has not; `exceeded BOUND` when it had to end the program;
then `ended RETURNCODE PEAK_MEMORY_BYTES`, or `failed REASON` when the program could not be started. SIGTERM, which it
also gets when the worker dies, means to kill everything now.
"""

from __future__ import annotations

import ctypes
import os

from app.toolchains.jail.inside import landlock, privileges, seccomp
from app.toolchains.jail.inside.bounds import bound
from app.toolchains.jail.inside.descendants import kill, kill_all
from app.toolchains.jail.inside.watching import TICK_SECONDS, excess

TYPE_CHECKING = False
if TYPE_CHECKING:
    import resource
    import signal
    from typing import NoReturn
else:
    # What `signal` adds to it is enums, and they take 10 ms to import.
    import _signal as signal

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
EXIT_NOT_STARTED = 126
#: Whoever executes functions comes first.
NICENESS = 5

#: What every program that is linked dynamically reads, and what every program may expect of a machine.
LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache")
DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")

_WATCHED = {signal.SIGTERM, signal.SIGCHLD}
_libc = ctypes.CDLL(None, use_errno=True)


class Job:
    """What the command line says."""

    def __init__(self, arguments: list[str]) -> None:
        end = arguments.index("--")
        self.programs = _programs(arguments[end + 1 :])
        numbers, self.readable = arguments[:11], arguments[11:end]
        self.status, self.group, self.worker, self.user, *bounds = map(int, numbers)
        self.data_bytes, self.cpu_seconds, self.file_bytes, self.open_files = bounds[:4]
        self.processes, self.memory_bytes, self.files_bytes = bounds[4:]
        self.directory = os.getcwd()  # noqa: PTH109 - see the imports

    def say(self, line: str) -> None:
        """Write a line for the worker, if it still listens."""
        try:
            os.write(self.status, f"{line}\n".encode(errors="replace"))
        except BrokenPipeError:
            return


def _programs(words: list[str]) -> list[list[str]]:
    programs = []
    while words:
        count = int(words[0])
        programs.append(words[1 : count + 1])
        words = words[count + 1 :]
    return programs


def main(arguments: list[str]) -> int:
    """Run the program, then kill whatever it left, then report."""
    job = Job(arguments)
    os.set_inheritable(job.status, False)
    if job.group >= 0:
        os.set_inheritable(job.group, False)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    # Both signals wait until they are asked for, so that none is missed.
    signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    if job.worker:
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != job.worker:
            return EXIT_NOT_STARTED
    supervisor = os.getpid()
    child = os.fork()
    if child == 0:
        become(job, supervisor)
    job.say(f"started {child}")
    returncode, peak_bytes = supervise(job, child)
    kill_all()
    job.say(f"ended {returncode} {peak_bytes}")
    return 0


def supervise(job: Job, child: int) -> tuple[int, int]:
    """Wait for the program's end, or bring it about; answers its return code and its peak memory in bytes."""
    while True:
        got = signal.sigtimedwait(_WATCHED, TICK_SECONDS)
        is_to_end = exceeds(job) if got is None else got.si_signo == signal.SIGTERM
        if is_to_end:
            kill(child)
        pid, status, usage = os.wait4(child, 0 if is_to_end else os.WNOHANG)
        if pid:
            if not is_to_end and os.waitstatus_to_exitcode(status) == -signal.SIGKILL and _spent(job, usage):
                job.say("exceeded time")
            return os.waitstatus_to_exitcode(status), usage.ru_maxrss * 1024


def _spent(job: Job, usage: resource.struct_rusage) -> bool:
    """Whether it has had all its processor time. Who ignores SIGXCPU, as programs in Go do, is killed a second later
    without a word of why.
    """
    return usage.ru_utime + usage.ru_stime >= job.cpu_seconds


def exceeds(job: Job) -> bool:
    """Whether all that it has started has too much of something together; then that is said."""
    found = excess(job.directory, memory_bytes=job.memory_bytes, files_bytes=job.files_bytes, processes=job.processes)
    if found is not None:
        job.say(f"exceeded {found}")
    return found is not None


def become(job: Job, supervisor: int) -> NoReturn:
    """Turn the forked child into the program. Every bound is set here, before its first instruction."""
    try:
        if job.group >= 0:
            os.write(job.group, b"0")
        os.setsid()
        os.umask(0o077)
        os.nice(NICENESS)
        granted = [*LIBRARIES, *job.readable]
        privileges.drop(job.user, job.directory, [path for path in granted if os.path.exists(path)])  # noqa: PTH110
        # Whoever becomes another user must say it again.
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != supervisor:
            os._exit(EXIT_NOT_STARTED)
        bound(
            data_bytes=job.data_bytes,
            cpu_seconds=job.cpu_seconds,
            file_bytes=job.file_bytes,
            open_files=job.open_files,
            processes=job.processes,
        )
        confine(job, granted)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, set())
        *first, last = job.programs
        for program in first:
            status = os.waitstatus_to_exitcode(os.waitpid(_spawned(program), 0)[1])
            if status != 0:
                _end_like(status)
        os.execv(last[0], last)  # noqa: S606 - this is what the folder is for
    except BaseException as error:  # noqa: BLE001 - nothing may escape into the supervisor's code after the fork
        job.say(f"failed {error}")
        os._exit(EXIT_NOT_STARTED)


def _spawned(program: list[str]) -> int:
    child = os.fork()
    if child == 0:
        try:
            os.execv(program[0], program)  # noqa: S606 - see above
        finally:
            os._exit(EXIT_NOT_STARTED)
    return child


def _end_like(status: int) -> NoReturn:
    """End as another process did."""
    if status < 0:
        os.kill(os.getpid(), -status)
    os._exit(abs(status))


def confine(job: Job, granted: list[str]) -> None:
    """Leave this process its own directory, what it was granted, and no way to anything else."""
    rights = [(path, landlock.READ) for path in (*granted, *DEVICES)]
    rights += [(path, landlock.WRITE) for path in (job.directory, "/dev/null")]
    for name, restricted in (("landlock", landlock.restrict(rights)), ("seccomp", seccomp.restrict())):
        if not restricted:
            job.say(f"lacking {name}")


def prctl(option: int, value: int) -> None:
    """Set an attribute of this process; raises OSError where the kernel refuses."""
    if _libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
