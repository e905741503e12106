"""What the library takes from an operating system, taken from Kiln instead: clocks, chance, streams. No files.

CPython's own calls end in WASI, which this component has none of: they would end the execution. So they are replaced
where Python code finds them, once the library is in memory, and files that C code opens are refused by an audit hook.
"""

import codecs
import datetime as dt
import errno
import io
import os
import posix
import random
import select
import socket
import sys
import threading
import time
import types
from collections.abc import Callable
from typing import Any, NoReturn

import kiln_waiting
import wit_world

_BILLION = 1_000_000_000


def install() -> None:
    """Replace it all; when the component is built."""
    _install_clocks()
    _install_chance()
    _install_streams()
    _install_nothing()
    kiln_waiting.install()
    os.environ.clear()


def begin(environment: dict[str, str], seed: str) -> None:
    """What is new with each execution."""
    os.environ.update(environment)
    random.seed(int(seed, 16))


def flush() -> None:
    """Write what was printed without a newline at its end."""
    for stream in (sys.__stdout__, sys.__stderr__):
        if not stream.closed:
            stream.flush()


def chance(count: int) -> bytes:
    """Random bytes."""
    return bytes.fromhex(wit_world.random(count))


# Clocks.


class _DateTime(dt.datetime):
    """Asks Kiln for the time; otherwise what it extends."""

    __slots__ = ()

    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> "_DateTime":
        """The time here, which is UTC."""
        return cls.fromtimestamp(time.time(), tz)

    @classmethod
    def utcnow(cls) -> "_DateTime":
        """The time in UTC, without saying so."""
        return cls.fromtimestamp(time.time(), dt.UTC).replace(tzinfo=None)

    def __repr__(self) -> str:
        return f"datetime.{super().__repr__()}"


def _install_clocks() -> None:
    wall, steady, given = wit_world.wall_clock, wit_world.steady_clock, types.SimpleNamespace(**vars(time))

    def now() -> float:
        return wall() / _BILLION

    def elapsed() -> float:
        return steady() / _BILLION

    def gettime_ns(clock: int) -> int:
        return wall() if clock == time.CLOCK_REALTIME else steady()

    replaced: dict[Any, Any] = {dt.datetime: _DateTime}

    def replace(name: str, function: Callable[..., Any]) -> None:
        replaced[getattr(given, name)] = function

    replace("time", now)
    replace("time_ns", wall)
    replace("sleep", _sleep)
    for name in ("monotonic", "perf_counter", "process_time"):
        replace(name, elapsed)
        replace(f"{name}_ns", steady)
    replace("clock_gettime", lambda clock: gettime_ns(clock) / _BILLION)
    replace("clock_gettime_ns", gettime_ns)
    replace("clock_getres", lambda _clock: 0.001)
    replace("get_clock_info", _clock_info)
    replace("localtime", lambda seconds=None: given.localtime(now() if seconds is None else seconds))
    replace("gmtime", lambda seconds=None: given.gmtime(now() if seconds is None else seconds))
    replace("ctime", lambda seconds=None: given.asctime(time.localtime(seconds)))
    replace("asctime", lambda moment=None: given.asctime(moment or time.localtime()))
    replace("strftime", lambda form, moment=None: given.strftime(form, moment or time.localtime()))
    _DateTime.__module__, _DateTime.__name__, _DateTime.__qualname__ = "datetime", "datetime", "datetime"
    _DateTime.min, _DateTime.max = _DateTime(1, 1, 1), _DateTime(9999, 12, 31, 23, 59, 59, 999999)
    _replace_everywhere(replaced)
    threading.Condition.wait = _wait


def _replace_everywhere(replaced: dict[Any, Any]) -> None:
    """Modules have taken functions from one another, under names of their own."""
    for module in list(sys.modules.values()):
        if module.__name__ in {__name__, "_datetime"}:
            continue
        for name, value in list(vars(module).items()):
            if isinstance(value, types.BuiltinFunctionType | type) and value in replaced:
                setattr(module, name, replaced[value])


def _sleep(seconds: float) -> None:
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    wit_world.sleep(min(int(seconds * _BILLION), (1 << 64) - 1))


def _clock_info(name: str) -> types.SimpleNamespace:
    is_wall = name == "time"
    return types.SimpleNamespace(implementation="kiln", monotonic=not is_wall, adjustable=is_wall, resolution=0.001)


def _wait(_condition: threading.Condition, timeout: float | None = None) -> bool:
    """There is no other thread that could bring what is waited for."""
    if timeout is None:
        raise RuntimeError("the function waits for what never happens: there are no threads here")
    _sleep(max(0.0, timeout))
    return False


# Chance.


def _install_chance() -> None:
    os.urandom = posix.urandom = random._urandom = chance  # noqa: SLF001 - where random keeps it
    given = random.Random.seed

    def seed(self: random.Random, a: Any = None, version: int = 2) -> None:
        given(self, int.from_bytes(chance(32)) if a is None else a, version)

    random.Random.seed = seed
    random.seed = random._inst.seed  # noqa: SLF001


# Streams.


class _Stream(io.RawIOBase):
    """Sends what is printed to the log."""

    def __init__(self, *, is_error: bool) -> None:
        super().__init__()
        self._is_error = is_error
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def writable(self) -> bool:
        """It can."""
        return True

    def write(self, piece: Any) -> int:
        """Keep one piece."""
        wit_world.log(self._decoder.decode(bytes(piece)), self._is_error)
        return len(piece)


def _stream(*, is_error: bool) -> io.TextIOWrapper:
    raw = io.BufferedWriter(_Stream(is_error=is_error))
    return io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", newline="\n", line_buffering=True)


def _install_streams() -> None:
    sys.stdin = sys.__stdin__ = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    sys.stdout = sys.__stdout__ = _stream(is_error=False)
    sys.stderr = sys.__stderr__ = _stream(is_error=True)


# Files, sockets, processes.

_BY_PATH = (
    *("chdir", "chmod", "link", "listdir", "lstat", "mkdir", "open", "readlink", "remove", "rename", "replace"),
    *("rmdir", "scandir", "stat", "statvfs", "symlink", "truncate", "unlink", "utime", "pathconf"),
)
_BY_DESCRIPTOR = (
    *("close", "dup", "dup2", "fchdir", "fdatasync", "fdopen", "fstat", "fstatvfs", "fsync", "ftruncate", "lseek"),
    *("pipe", "pread", "preadv", "pwrite", "pwritev", "read", "readv", "sendfile", "write", "writev"),
    *("posix_fadvise", "posix_fallocate", "closerange", "set_blocking", "get_blocking", "fpathconf"),
)
_OF_THE_NETWORK = ("socketpair", "create_connection", "create_server", "getaddrinfo", "gethostbyname", "getfqdn")


def _no_file(path: Any = None, *_arguments: Any, **_options: Any) -> NoReturn:
    raise FileNotFoundError(errno.ENOENT, "there are no files here", path)


def _no_descriptor(*_arguments: Any, **_options: Any) -> NoReturn:
    raise OSError(errno.EBADF, "there are no files here")


def _no_network(*_arguments: Any, **_options: Any) -> NoReturn:
    raise OSError(errno.ENETUNREACH, "there is no network here")


def _exit(code: int) -> NoReturn:
    flush()
    wit_world.fail("FUNCTION_ERROR", f"The function exited with code {code}.", "")
    raise SystemExit(code)


class _NoSocket:
    """What a socket would be."""

    def __init__(self, *_arguments: Any, **_options: Any) -> None:
        _no_network()


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook: C code opens files, too, as the parser does for the line that has an error."""
    if event == "open":
        _no_file(arguments[0])


def _install_nothing() -> None:
    refused = dict.fromkeys(_BY_PATH, _no_file) | dict.fromkeys(_BY_DESCRIPTOR, _no_descriptor)
    for module in (os, posix):
        for name, function in refused.items():
            if hasattr(module, name):
                setattr(module, name, function)
        module.access = module.isatty = lambda *_arguments, **_options: False
        module.getcwd, module._exit = (lambda: "/"), _exit  # noqa: SLF001 - it is public there
        del module.times
    for name in ("select", "poll"):
        setattr(select, name, _no_descriptor)
    socket.socket = socket.SocketType = _NoSocket
    for name in _OF_THE_NETWORK:
        setattr(socket, name, _no_network)
    # What is not in memory is nowhere.
    sys.path.clear()
    sys.path_hooks.clear()
    sys.path_importer_cache.clear()
    sys.meta_path[:] = [finder for finder in sys.meta_path if getattr(finder, "__name__", "") != "PathFinder"]
    sys.addaudithook(_refuse)
