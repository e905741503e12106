"""WASI preview 1 for guests that own nothing: environment, clocks, randomness, sleep and exit.

The engine's own WASI is not used: its threads do not survive a fork, and it sleeps past deadlines. Every function of
the preview exists, so that modules link; what would need a file or a socket answers that there is none. The standard
streams are in `wasi_streams`.
"""

import os
import time

from app.wasm.guest import Exited, Guest
from app.wasm.limits import CLOCK_GRAIN_MS, RANDOM_BYTES, SUBSCRIPTIONS
from app.wasm.linking import HostFunction
from app.wasm.wasi_streams import MODULE, STREAMS

SUCCESS = 0
BADF = 8
INVAL = 28
NOTSOCK = 57

_REALTIME = 0
_CLOCKS = 4
_GRAIN_NS = CLOCK_GRAIN_MS * 1_000_000
# A monotonic clock that starts at zero looks broken to some runtimes.
_MONOTONIC_START_NS = 1_000_000_000

_SUBSCRIPTION_BYTES = 48
_EVENT_BYTES = 32
_CLOCK_EVENT = 0
_ABSOLUTE = 1


def args_get(_guest: Guest, _pointers: int, _bytes: int) -> int:
    """There are no arguments."""
    return SUCCESS


def args_sizes_get(guest: Guest, count: int, size: int) -> int:
    """There are no arguments."""
    guest.write_u32(count, 0)
    guest.write_u32(size, 0)
    return SUCCESS


def _variables(guest: Guest) -> list[bytes]:
    return [f"{key}={value}\0".encode(errors="replace") for key, value in guest.environment.items()]


def environ_get(guest: Guest, pointers: int, at: int) -> int:
    """The function's environment, never the process's."""
    for index, variable in enumerate(_variables(guest)):
        guest.write_u32(pointers + 4 * index, at)
        guest.write(at, variable)
        at += len(variable)
    return SUCCESS


def environ_sizes_get(guest: Guest, count: int, size: int) -> int:
    """How much `environ_get` writes."""
    variables = _variables(guest)
    guest.write_u32(count, len(variables))
    guest.write_u32(size, sum(map(len, variables)))
    return SUCCESS


def clock_res_get(guest: Guest, clock: int, at: int) -> int:
    """One millisecond: a finer clock measures what its neighbours do."""
    if clock >= _CLOCKS:
        return INVAL
    guest.write_u64(at, _GRAIN_NS)
    return SUCCESS


def clock_time_get(guest: Guest, clock: int, _precision: int, at: int) -> int:
    """Nanoseconds, rounded down to a millisecond; all clocks but the wall's count from the start of the execution."""
    if clock >= _CLOCKS:
        return INVAL
    now = _now_ns(guest, clock)
    guest.write_u64(at, now - now % _GRAIN_NS)
    return SUCCESS


def _now_ns(guest: Guest, clock: int) -> int:
    if clock == _REALTIME:
        return time.time_ns()
    return _MONOTONIC_START_NS + int((time.monotonic() - guest.started) * 1e9)


def random_get(guest: Guest, at: int, length: int) -> int:
    """At most 1 MiB a call, so that one call cannot outlast a deadline by much."""
    guest.check(at, length)
    if length > RANDOM_BYTES:
        return INVAL
    guest.write(at, os.urandom(length))
    return SUCCESS


def poll_oneoff(guest: Guest, subscriptions: int, events: int, count: int, occurred: int) -> int:
    """Sleeps until the earliest clock, never past the deadline; a stream is always ready."""
    if not 0 < count <= SUBSCRIPTIONS:
        return INVAL
    entries = guest.read(subscriptions, count * _SUBSCRIPTION_BYTES)
    asked = [entries[at : at + _SUBSCRIPTION_BYTES] for at in range(0, len(entries), _SUBSCRIPTION_BYTES)]
    ready = [_event(entry) for entry in asked if entry[8] != _CLOCK_EVENT]
    if not ready:
        pauses = [_pause_ns(guest, entry) for entry in asked]
        earliest = min(pauses)
        guest.sleep(earliest / 1e9)
        ready = [_event(entry) for entry, pause in zip(asked, pauses, strict=True) if pause == earliest]
    guest.write(events, b"".join(ready))
    guest.write_u32(occurred, len(ready))
    return SUCCESS


def _pause_ns(guest: Guest, subscription: bytes) -> int:
    clock = int.from_bytes(subscription[16:20], "little")
    timeout = int.from_bytes(subscription[24:32], "little")
    is_absolute = int.from_bytes(subscription[40:42], "little") & _ABSOLUTE
    return max(0, timeout - _now_ns(guest, clock)) if is_absolute else timeout


def _event(subscription: bytes) -> bytes:
    return (subscription[:8] + b"\0\0" + subscription[8:9]).ljust(_EVENT_BYTES, b"\0")


def proc_exit(_guest: Guest, code: int) -> None:
    """Ends the guest."""
    raise Exited(code - (1 << 32) if code >> 31 else code)


def proc_raise(_guest: Guest, _signal: int) -> int:
    """There are no signals."""
    return INVAL


def sched_yield(_guest: Guest) -> int:
    """There is nobody to yield to."""
    return SUCCESS


def _no_file(_guest: Guest, *_parameters: int) -> int:
    return BADF


def _no_socket(_guest: Guest, *_parameters: int) -> int:
    return NOTSOCK


_OWN = (
    ("args_get", "i32 i32 -> i32", args_get),
    ("args_sizes_get", "i32 i32 -> i32", args_sizes_get),
    ("environ_get", "i32 i32 -> i32", environ_get),
    ("environ_sizes_get", "i32 i32 -> i32", environ_sizes_get),
    ("clock_res_get", "i32 i32 -> i32", clock_res_get),
    ("clock_time_get", "i32 i64 i32 -> i32", clock_time_get),
    ("random_get", "i32 i32 -> i32", random_get),
    ("poll_oneoff", "i32 i32 i32 i32 -> i32", poll_oneoff),
    ("proc_exit", "i32 ->", proc_exit),
    ("proc_raise", "i32 -> i32", proc_raise),
    ("sched_yield", "-> i32", sched_yield),
    ("path_create_directory", "i32 i32 i32 -> i32", _no_file),
    ("path_filestat_get", "i32 i32 i32 i32 i32 -> i32", _no_file),
    ("path_filestat_set_times", "i32 i32 i32 i32 i64 i64 i32 -> i32", _no_file),
    ("path_link", "i32 i32 i32 i32 i32 i32 i32 -> i32", _no_file),
    ("path_open", "i32 i32 i32 i32 i32 i64 i64 i32 i32 -> i32", _no_file),
    ("path_readlink", "i32 i32 i32 i32 i32 i32 -> i32", _no_file),
    ("path_remove_directory", "i32 i32 i32 -> i32", _no_file),
    ("path_rename", "i32 i32 i32 i32 i32 i32 -> i32", _no_file),
    ("path_symlink", "i32 i32 i32 i32 i32 -> i32", _no_file),
    ("path_unlink_file", "i32 i32 i32 -> i32", _no_file),
    ("sock_accept", "i32 i32 i32 -> i32", _no_socket),
    ("sock_recv", "i32 i32 i32 i32 i32 i32 -> i32", _no_socket),
    ("sock_send", "i32 i32 i32 i32 i32 -> i32", _no_socket),
    ("sock_shutdown", "i32 i32 -> i32", _no_socket),
)

WASI = (*(HostFunction.of(MODULE, name, signature, call) for name, signature, call in _OWN), *STREAMS)
