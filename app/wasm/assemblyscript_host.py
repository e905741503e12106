"""What AssemblyScript's runtime and bindings import from `env`; strings are UTF-16, their length before them."""

import os
import time
from collections.abc import Callable

from app.wasm.guest import Ended, Exited, Guest
from app.wasm.limits import MESSAGE_CHARACTERS
from app.wasm.linking import HostFunction
from app.wasm.outcome import Failure, Verdict

_MESSAGE_BYTES = MESSAGE_CHARACTERS * 2
_FILE_BYTES = 400
_TIMERS = 100
STRING_CLASS = 2


def abort(guest: Guest, message: int, file: int, line: int, column: int) -> None:
    """A thrown error, a failed assertion, or a fault that the runtime found."""
    if _is_stack_overflow(guest, message, line, column):
        raise Ended(Verdict(Failure.STACK_OVERFLOW, "The call stack is larger than its limit."))
    text = guest.utf16(message, _MESSAGE_BYTES) or "abort"
    where = f"{guest.utf16(file, _FILE_BYTES)}:{line}:{column}"
    # A place in the compiler's own library says nothing about the author's source. The instruction after a call of this
    # is a trap, which tells who called the library.
    if where.startswith(("~lib/", ":")):
        guest.aborted = Verdict(Failure.FUNCTION_ERROR, text if where.startswith(":") else f"{text} ({where})")
        return
    raise Ended(Verdict(Failure.FUNCTION_ERROR, text, where))


def _is_stack_overflow(guest: Guest, message: int, line: int, column: int) -> bool:
    """Whether the compiler's check of its own stack failed.

    That abort comes from 1:1, and optimised modules lack the string that it names, so what stands there is no string.
    """
    return (line, column) == (1, 1) and message != 0 and guest.read_u32(message - 8) != STRING_CLASS


def trace(guest: Guest, message: int, count: int, *numbers: float) -> None:
    """`trace("label", n, a0, a1, …)`."""
    shown = " ".join(f"{number:g}" for number in numbers[: max(0, count)])
    guest.log.line(f"trace: {guest.utf16(message, guest.log.room_bytes)} {shown}".rstrip())


def seed(_guest: Guest) -> float:
    """Starts `Math.random`."""
    return int.from_bytes(os.urandom(6), "little") / 7.0


def date_now(_guest: Guest) -> float:
    """Unix time in whole milliseconds."""
    return float(int(time.time() * 1000))


def performance_now(guest: Guest) -> float:
    """Whole milliseconds since the start of the execution."""
    return float(int((time.monotonic() - guest.started) * 1000))


def process_exit(_guest: Guest, code: int) -> None:
    """Ends the guest."""
    raise Exited(code - (1 << 32) if code >> 31 else code)


def console_assert(guest: Guest, holds: int, message: int) -> None:
    """Logs an error where the condition is false."""
    if not holds:
        guest.log.line(f"Assertion failed: {guest.utf16(message, guest.log.room_bytes)}", 3)


def _console(level: int) -> Callable[[Guest, int], None]:
    def write(guest: Guest, message: int) -> None:
        guest.log.line(guest.utf16(message, guest.log.room_bytes), level)

    return write


def console_time(guest: Guest, label: int) -> None:
    """Starts a timer; there are at most 100."""
    if len(guest.timers) < _TIMERS:
        guest.timers[guest.utf16(label, _FILE_BYTES)] = time.monotonic()


def console_time_log(guest: Guest, label: int) -> None:
    """Logs a timer in whole milliseconds."""
    name = guest.utf16(label, _FILE_BYTES)
    if name in guest.timers:
        guest.log.line(f"{name}: {(time.monotonic() - guest.timers[name]) * 1000:.0f}ms")


def console_time_end(guest: Guest, label: int) -> None:
    """Logs a timer and ends it."""
    console_time_log(guest, label)
    guest.timers.pop(guest.utf16(label, _FILE_BYTES), None)


_FUNCTIONS: tuple[tuple[str, str, Callable[..., int | float | None]], ...] = (
    ("abort", "i32 i32 i32 i32 ->", abort),
    ("trace", "i32 i32 f64 f64 f64 f64 f64 ->", trace),
    ("seed", "-> f64", seed),
    ("Date.now", "-> f64", date_now),
    ("performance.now", "-> f64", performance_now),
    ("process.exit", "i32 ->", process_exit),
    ("console.assert", "i32 i32 ->", console_assert),
    ("console.log", "i32 ->", _console(1)),
    ("console.info", "i32 ->", _console(1)),
    ("console.debug", "i32 ->", _console(0)),
    ("console.warn", "i32 ->", _console(2)),
    ("console.error", "i32 ->", _console(3)),
    ("console.time", "i32 ->", console_time),
    ("console.timeLog", "i32 ->", console_time_log),
    ("console.timeEnd", "i32 ->", console_time_end),
)

ENV = tuple(HostFunction.of("env", name, signature, call) for name, signature, call in _FUNCTIONS)
