"""Runs a program by way of `inside`, which confines it, and reads what it writes, in the worker's process."""

import os
import secrets
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from app.toolchains.jail import groups, wrapping
from app.toolchains.jail.groups import Group
from app.toolchains.jail.inside.descendants import children, kill
from app.toolchains.jail.inside.privileges import FIRST_UID
from app.toolchains.jail.limits import Bound, JailError, JailLimits

INSIDE = str(Path(__file__).parent / "inside" / "start.py")
# How long the supervisor may take to kill what it watches before it is killed itself.
_KILL_SECONDS = 5.0
_CHUNK_BYTES = 65_536
_STATUS_BYTES = 4096
_NOWHERE = -1
# Users of jobs; two jobs are the same one once in so many.
_USERS = 1 << 24


@dataclass
class Stream:
    """One descriptor that is read while the program runs, and how much of it is kept."""

    descriptor: int
    limit_bytes: int
    content: bytearray = field(default_factory=bytearray)

    @property
    def exceeded(self) -> bool:
        return len(self.content) > self.limit_bytes

    @property
    def kept(self) -> bytes:
        return bytes(memoryview(self.content)[: self.limit_bytes])


@dataclass(frozen=True)
class Command:
    """What is to be run, where, and what it may touch there."""

    programs: Sequence[Sequence[str]]
    directory: Path
    environment: Mapping[str, str]
    readable: Sequence[Path]


@dataclass(frozen=True)
class Ended:
    """What the supervisor said about the program's end, and the streams as far as they were read."""

    returncode: int
    peak_memory_bytes: int
    stdout: bytes
    stderr: bytes
    exceeded: Bound | None
    lacking: frozenset[str]


def supervise(command: Command, *, stdin: bytes, limits: JailLimits) -> Ended:
    """Run a program to its end, or to the first limit that it reaches; nothing of it is left afterwards.

    Raises JailError when the program could not be started or its supervisor was killed.
    """
    with groups.group(memory_bytes=limits.memory_bytes, processes=limits.processes) as group:
        ended = _supervise(command, group, stdin=stdin, limits=limits)
        return replace(ended, exceeded=Bound.MEMORY) if group and group.ran_out_of_memory else ended


def _supervise(command: Command, group: Group | None, *, stdin: bytes, limits: JailLimits) -> Ended:
    deadline = time.monotonic() + limits.wall_ms / 1000
    status_read, status_write = os.pipe2(os.O_CLOEXEC)
    source = _in_memory(stdin)
    try:
        process = subprocess.Popen(
            _arguments(command, status_write, _NOWHERE if group is None else group.descriptor, limits),
            stdin=source,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=command.directory,
            env=command.environment,
            pass_fds=(status_write,) if group is None else (status_write, group.descriptor),
            start_new_session=True,
        )
    except BaseException:
        os.close(status_read)
        raise
    finally:
        os.close(source)
        os.close(status_write)
    assert process.stdout is not None  # noqa: S101 - for the type checker: both are pipes
    assert process.stderr is not None  # noqa: S101
    stdout = Stream(process.stdout.fileno(), limits.stdout_bytes)
    stderr = Stream(process.stderr.fileno(), limits.stderr_bytes)
    status = Stream(status_read, _STATUS_BYTES)
    try:
        timed_out = _read((stdout, stderr, status), status, deadline)
    finally:
        _stop(process, status)
        process.stdout.close()
        process.stderr.close()
        os.close(status_read)
    exceeded = Bound.TIME if timed_out else Bound.OUTPUT if stdout.exceeded or stderr.exceeded else None
    # Whom we have ended has nothing more to say.
    returncode, peak_memory_bytes = (-signal.SIGKILL, 0) if exceeded else _end(status)
    exceeded = exceeded or _exceeded(status)
    lacking = frozenset(rest for word, rest in _said(status) if word == "lacking")
    return Ended(returncode, peak_memory_bytes, stdout.kept, stderr.kept, exceeded, lacking)


def _arguments(command: Command, status: int, group: int, limits: JailLimits) -> list[str]:
    wrap = wrapping.works()
    numbers = (
        *(status, group, 0 if wrap else os.getpid(), FIRST_UID + secrets.randbelow(_USERS)),
        *(limits.data_bytes, limits.cpu_seconds, limits.file_bytes, limits.open_files),
        *(limits.processes, limits.memory_bytes, limits.files_bytes),
    )
    paths = map(str, command.readable)
    programs = [word for program in command.programs for word in (str(len(program)), *program)]
    arguments = [sys.executable, "-I", "-S", INSIDE, *map(str, numbers), *paths, "--", *programs]
    if not wrap:
        return arguments
    return wrapping.wrapped(arguments, directory=command.directory, readable=command.readable)


def _in_memory(content: bytes) -> int:
    """A descriptor to read `content` from: no pipe that could block, no file that somebody could find."""
    descriptor = os.memfd_create("stdin", os.MFD_CLOEXEC)
    remaining = memoryview(content)
    while remaining:
        remaining = remaining[os.write(descriptor, remaining) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _read(streams: Sequence[Stream], status: Stream, deadline: float) -> bool:
    """Read until the supervisor has ended, a stream is over its limit, or the deadline; True for the deadline."""
    with selectors.DefaultSelector() as selector:
        for stream in streams:
            os.set_blocking(stream.descriptor, False)
            selector.register(stream.descriptor, selectors.EVENT_READ, stream)
        while selector.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                return True
            for key, _ in selector.select(left):
                stream = key.data
                if _drained(stream):
                    selector.unregister(stream.descriptor)
                if stream.exceeded:
                    return False
            if status.descriptor not in selector.get_map():
                # Only the supervisor holds this end, and it ends last: what is in the pipes now is all there is.
                _drain_rest(streams)
                return False
    return False


def _drain_rest(streams: Sequence[Stream]) -> None:
    for stream in streams:
        before = -1
        while before < len(stream.content) <= stream.limit_bytes:
            before = len(stream.content)
            _drained(stream)


def _drained(stream: Stream) -> bool:
    """Read once; True at the end of the stream."""
    try:
        chunk = os.read(stream.descriptor, _CHUNK_BYTES)
    except BlockingIOError:
        return False
    stream.content += chunk
    return not chunk


def _stop(process: subprocess.Popen[bytes], status: Stream) -> None:
    """Make the supervisor kill everything, unless it has, and wait for it; if it does not answer, kill both groups."""
    if "ended" not in dict(_said(status)):
        _end_early(process)
    try:
        process.wait(_KILL_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    _drain_rest([status])
    said = dict(_said(status))
    if "started" in said and "ended" not in said and not wrapping.works():
        # The supervisor was killed and has reaped nobody, so the group is still its child's. Within bubblewrap numbers
        # are others, and there all has ended with it.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(int(said["started"]), signal.SIGKILL)


def _end_early(process: subprocess.Popen[bytes]) -> None:
    """Tell the supervisor to end all. Within bubblewrap it is killed, which ends all that is in there: bubblewrap, told
    to end, would not wait for it, and in a container there may be nobody else who does.
    """
    first: list[int] = []
    if wrapping.works():
        # A kernel may keep no list of children.
        with suppress(FileNotFoundError):
            first = children(process.pid)
    for pid in first:
        kill(pid)
    if not first:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)


def _said(status: Stream) -> list[tuple[str, str]]:
    """The supervisor's lines, each with its first word apart."""
    lines = (line.partition(" ") for line in status.content.decode(errors="replace").splitlines())
    return [(word, rest) for word, _, rest in lines]


def _exceeded(status: Stream) -> Bound | None:
    return next((Bound(rest) for word, rest in _said(status) if word == "exceeded"), None)


def _end(status: Stream) -> tuple[int, int]:
    """Return code and peak memory in bytes."""
    said = dict(_said(status))
    if "failed" in said:
        message = f"the program could not be started: {said['failed']}"
        raise JailError(message)
    if "ended" not in said:
        raise JailError("the jail's supervisor was killed")
    returncode, peak_memory_bytes = said["ended"].split()
    return int(returncode), int(peak_memory_bytes)
