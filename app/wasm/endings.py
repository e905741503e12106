"""What ended a guest, said as a `Verdict`."""

import re
from dataclasses import replace

import wasmtime

from app.wasm import exports
from app.wasm.errors import EngineFailed
from app.wasm.guest import Ended, Exited, Guest, timed_out
from app.wasm.limits import STACK_BYTES
from app.wasm.outcome import Failure, Verdict, location_in

# What the languages' runtimes say when an allocation failed; only their exact words, which an author hardly uses.
_OUT_OF_MEMORY = re.compile(
    r"memory allocation of \d+ bytes failed|(?:runtime|fatal error|InternalError): out of memory|std::bad_alloc"
    r"|^(?:error[.: ]\s*)?OutOfMemory\b|^Allocation too large|^MemoryError\b",
    re.MULTILINE,
)
# Go bounds its stacks itself.
_STACK_OVERFLOW = re.compile(r"^fatal error: stack overflow\b", re.MULTILINE)
_PANIC = re.compile(
    r"^(?:.*\bpanicked at .*|panic: .*|.*\bpanic: .*|fatal error: .*|.*Assertion failed: .*)$", re.MULTILINE
)
_TRAP = re.compile(r"wasm trap: .*")
_RESOURCES = re.compile(r"exceeds memory limits|exceeds table limits|resource limit exceeded")
_PAGE_BYTES = 65_536
_FRAMES = 32


def verdict_of(error: Exception, guest: Guest) -> Verdict:
    """Why the guest ended with `error`; raises `EngineFailed` where that was not the guest's doing."""
    match error:
        case Ended():
            verdict = error.verdict
            return _unless_exhausted(verdict) if verdict.failure is Failure.FUNCTION_ERROR else verdict
        case Exited():
            return _unless_exhausted(_exited(error.code, guest))
        case wasmtime.Trap():
            return _trapped(error, guest)
        case _:
            return _not_instantiated(error, guest)


def _unless_exhausted(verdict: Verdict) -> Verdict:
    if _OUT_OF_MEMORY.search(verdict.message):
        return Verdict(Failure.OUT_OF_MEMORY, verdict.message, verdict.location)
    if _STACK_OVERFLOW.search(verdict.message):
        return Verdict(Failure.STACK_OVERFLOW, verdict.message, verdict.location)
    return verdict


def _exited(code: int, guest: Guest) -> Verdict:
    said = guest.log.tail()
    message = _complaint(said) or f"The function exited with code {code}."
    return Verdict(Failure.FUNCTION_ERROR, message, location_in(message) or location_in(said))


def _complaint(said: str) -> str | None:
    """The line of standard error that says why: a panic's, else the last."""
    panic = _PANIC.search(said)
    lines = [line for line in said.splitlines() if line.strip() and not line.startswith("note: ")]
    return panic.group() if panic else lines[-1] if lines else None


def _trapped(trap: wasmtime.Trap, guest: Guest) -> Verdict:
    match _code(trap):
        case wasmtime.TrapCode.INTERRUPT:
            return timed_out(guest.limits).verdict
        case wasmtime.TrapCode.STACK_OVERFLOW:
            return _stack_overflow(STACK_BYTES)
        case wasmtime.TrapCode.UNREACHABLE:
            return _aborted(trap, guest)
        case wasmtime.TrapCode.MEMORY_OUT_OF_BOUNDS if _has_overflown(guest):
            return _stack_overflow(None)
        case wasmtime.TrapCode.MEMORY_OUT_OF_BOUNDS if _is_full(guest):
            # A guest that takes the -1 of a refused growth for an address ends here.
            return _out_of_memory(guest)
        case _:
            return _plain_trap(trap)


def _aborted(trap: wasmtime.Trap, guest: Guest) -> Verdict:
    """`unreachable` is how runtimes end after a panic, and after an allocation that was refused."""
    if guest.aborted is not None:
        return replace(_unless_exhausted(guest.aborted), frames=_offsets(trap))
    said = guest.log.tail()
    if _PANIC.search(said) or _OUT_OF_MEMORY.search(said):
        return replace(_unless_exhausted(_exited(0, guest)), frames=_offsets(trap))
    # Allocators double what they have at most, so below half of the limit no growth was refused.
    if 2 * guest.memory_bytes > guest.limits.memory_bytes:
        return _out_of_memory(guest)
    return _plain_trap(trap)


def _stack_overflow(limit: int | None) -> Verdict:
    of = "" if limit is None else f" of {limit} bytes"
    return Verdict(Failure.STACK_OVERFLOW, f"The call stack is larger than its limit{of}.")


def _has_overflown(guest: Guest) -> bool:
    """Whether the stack that the compiler keeps in memory has grown below address zero."""
    if guest.instance is None:
        return False
    pointer = exports.stack_pointer(guest.store, guest.instance)
    return pointer is not None and pointer < 0


def _is_full(guest: Guest) -> bool:
    return guest.memory_bytes + _PAGE_BYTES > guest.limits.memory_bytes


def _out_of_memory(guest: Guest) -> Verdict:
    return Verdict(
        Failure.OUT_OF_MEMORY,
        f"The function needed more than its limit of {guest.limits.memory_bytes} bytes of memory.",
    )


def _plain_trap(trap: wasmtime.Trap) -> Verdict:
    found = _TRAP.search(trap.message)
    message = found.group() if found else "wasm trap"
    frames = trap.frames
    name = frames[0].func_name if frames else None
    return Verdict(Failure.TRAP, f"{message} in {name}" if name else message, frames=_offsets(trap))


def _offsets(trap: wasmtime.Trap) -> tuple[int, ...]:
    return tuple(frame.module_offset for frame in trap.frames[:_FRAMES])


def _code(trap: wasmtime.Trap) -> wasmtime.TrapCode | None:
    try:
        return trap.trap_code
    except ValueError:
        return None


def _not_instantiated(error: Exception, guest: Guest) -> Verdict:
    message = str(error)
    if not _RESOURCES.search(message):
        raise EngineFailed(message) from error
    limit = f" of {guest.limits.memory_bytes} bytes" if "memory" in message else ""
    failure = Failure.OUT_OF_MEMORY if "memory" in message else Failure.TRAP
    return Verdict(failure, f"{message}{limit}")
