"""Invokes the component that is CPython, as `app.toolchains.python` builds it: source and JSON text in, JSON text out.

Its imports and exports are those of `app/toolchains/python/guest/kiln.wit`. There is no WASI among them: what a source
can ask of its host is the table at the end of this.
"""

import os
import time
from collections.abc import Callable
from typing import Any

import wasmtime
from wasmtime.component import Component, Instance, Linker

from app.wasm import limits as fixed
from app.wasm.errors import EngineFailed, UnsupportedModule
from app.wasm.guest import Ended, Guest, timed_out
from app.wasm.layer import Script
from app.wasm.linking import Slot
from app.wasm.outcome import Failure, Verdict, location_in
from app.wasm.output import checked, too_large

_GRAIN_NS = fixed.CLOCK_GRAIN_MS * 1_000_000
_SEED_BYTES = 32
# What the component may say of its own end; the rest is for the host to find out.
_ITS_OWN = {
    failure.value: failure for failure in (Failure.OUT_OF_MEMORY, Failure.STACK_OVERFLOW, Failure.INVALID_OUTPUT)
}


def log(guest: Guest, text: str, is_error: bool) -> None:
    """Keeps what was printed."""
    piece = text[: guest.log.room_bytes].encode(errors="replace")
    guest.log.write(piece, length=max(len(piece), len(text)), is_error=is_error)


def fail(_guest: Guest, failure: str, message: str, place: str) -> None:
    """Ends the guest with its own message."""
    kind = _ITS_OWN.get(failure, Failure.FUNCTION_ERROR)
    location = location_in(place[: fixed.MESSAGE_CHARACTERS])
    raise Ended(Verdict(kind, message[: fixed.MESSAGE_CHARACTERS + 1] or "The function failed.", location))


def wall_clock(_guest: Guest) -> int:
    """Unix time in nanoseconds, rounded down to a millisecond."""
    now = time.time_ns()
    return now - now % _GRAIN_NS


def steady_clock(guest: Guest) -> int:
    """Nanoseconds since the start of the execution, rounded in the same way."""
    now = int((time.monotonic() - guest.started) * 1e9)
    return now - now % _GRAIN_NS


def sleep(guest: Guest, nanoseconds: int) -> None:
    """Sleeps, but never past the deadline."""
    guest.sleep(nanoseconds / 1e9)


def source(guest: Guest) -> str:
    """The source that runs."""
    return guest.source


def random(_guest: Guest, count: int) -> str:
    """Random bytes as hexadecimal digits; at most 1 MiB a call, so that one call cannot outlast a deadline by much."""
    if count > fixed.RANDOM_BYTES:
        message = f"{count} random bytes are more than {fixed.RANDOM_BYTES} at once"
        raise Ended(Verdict(Failure.FUNCTION_ERROR, message))
    return os.urandom(count).hex()


_FUNCTIONS: tuple[tuple[str, Callable[..., int | str | None]], ...] = (
    ("log", log),
    ("fail", fail),
    ("wall-clock", wall_clock),
    ("steady-clock", steady_clock),
    ("sleep", sleep),
    ("random", random),
    ("source", source),
)


def linker(engine: wasmtime.Engine, slot: Slot) -> Linker:
    """A linker that offers this to components."""
    made = Linker(engine)
    with made.root() as root:
        for name, call in _FUNCTIONS:
            root.add_func(name, _bound(slot, call))
    return made


def _bound(slot: Slot, call: Callable[..., int | str | None]) -> Callable[..., int | str | None]:
    def enter(_context: wasmtime.StoreContext, *parameters: int | str) -> int | str | None:
        if slot.guest is None:
            raise RuntimeError("a guest called while none was running")
        return call(slot.guest, *parameters)

    return enter


def check_shape(engine: wasmtime.Engine, component: Component) -> None:
    """Raises `UnsupportedModule` unless the component asks for nothing but this, and has what is called."""
    imports, exports = component.type.imports(engine).keys(), component.type.exports(engine).keys()
    unknown = sorted(imports - {name for name, _ in _FUNCTIONS})
    lacking = sorted({"handle", "compile"} - exports)
    if unknown or lacking:
        message = f"The component imports {unknown} beyond what there is, and lacks {lacking}."
        raise UnsupportedModule(message)


def invoke(guest: Guest, linker: Linker, component: Component, script: Script, text: str) -> str:
    """Has a script's `handle` called with `text` and returns its answer; raises what ended the guest otherwise."""
    guest.source = script.source
    given = (script.code, text, guest.context_json.decode(), guest.environment_json, os.urandom(_SEED_BYTES).hex())
    answer = str(_call(guest, _instance(guest, linker, component), "handle", *given))
    # UTF-8 has at least as many bytes as text has characters.
    if len(answer) > guest.limits.output_bytes or len(answer.encode()) > guest.limits.output_bytes:
        raise too_large(guest.limits.output_bytes)
    return checked(answer)


def translate(guest: Guest, linker: Linker, component: Component, source: str) -> str:
    """The code of a source, for a `Script`. Raises `Ended` where it is none, with `line:column: message`."""
    answer = _call(guest, _instance(guest, linker, component), "compile", source)
    if answer.tag == "err":
        raise Ended(Verdict(Failure.FUNCTION_ERROR, answer.payload))
    return str(answer.payload)


def _instance(guest: Guest, linker: Linker, component: Component) -> Instance:
    guest.store.set_limits(
        memory_size=guest.limits.memory_bytes,
        table_elements=fixed.TABLE_ENTRIES,
        instances=fixed.COMPONENT_INSTANCES,
        tables=fixed.COMPONENT_TABLES,
        memories=fixed.MEMORIES,
    )
    try:
        return linker.instantiate(guest.store, component)
    except wasmtime.WasmtimeError as error:
        if "exceeds memory limits" in str(error):
            message = f"The function begins with more memory than its limit of {guest.limits.memory_bytes} bytes."
            raise Ended(Verdict(Failure.OUT_OF_MEMORY, message)) from error
        raise


def _call(guest: Guest, instance: Instance, name: str, *given: str) -> Any:
    function = instance.get_func(guest.store, name)
    if function is None:
        message = f"the component has no export {name}"
        raise EngineFailed(message)
    try:
        return function(guest.store, *(_text(one) for one in given))
    except wasmtime.WasmtimeError as error:
        raise _trapped(str(error), guest) from error


def _text(text: str) -> str:
    """The text with `?` for halves of surrogate pairs, which UTF-8 has not."""
    return text if text.isascii() else text.encode(errors="replace").decode()


def _trapped(message: str, guest: Guest) -> Ended:
    """Components' traps have no code, only words."""
    if "wasm trap: interrupt" in message:
        return timed_out(guest.limits)
    if "call stack exhausted" in message:
        limit = fixed.COMPONENT_STACK_BYTES
        return Ended(Verdict(Failure.STACK_OVERFLOW, f"The call stack is larger than its limit of {limit} bytes."))
    cause = message.strip().splitlines()[-1].strip()
    return Ended(Verdict(Failure.TRAP, cause))
