"""Native code: made from wasm in the compile jail, sealed outside of it, loaded where functions run.

Loading native code that this installation did not make is running anybody's code, and a damaged file can crash the
process that loads it. So it travels with a seal whose key the jail never holds, and is verified before it is loaded.
"""

import hashlib
import hmac
import os
from dataclasses import dataclass
from pathlib import Path

import wasmtime
from wasmtime.component import Component

from app.wasm import python
from app.wasm.engine import component_engine, engine
from app.wasm.errors import ModuleRefused, NativeCodeRefused
from app.wasm.limits import KIB, MIB
from app.wasm.lines import without_lines
from app.wasm.sections import Bounds, check_bounds
from app.wasm.shapes import Shape, shape_of

_KEY_BYTES = 16
_PIECE_BYTES = 256 * KIB

# Native code is an ELF file; in this word of its header the engine says of what it was made.
_KIND = slice(48, 52)
_OF_A_COMPONENT = 2

#: What is executed: nearly always a module.
Program = wasmtime.Module | Component


@dataclass(frozen=True, slots=True)
class Made:
    """A module without what it said of its lines, its native code for this machine, the table of its lines (see
    `lines`), and its shape.
    """

    wasm: bytes
    native: bytes
    lines: bytes
    shape: Shape


def precompile(wasm: bytes, *, max_functions: int = 20_000, max_bytes: int = 16 * MIB) -> Made:
    """The native code of `wasm` for this machine.

    Raises `ModuleRefused` for a module that is too large or not valid, `UnsupportedModule` for one that has no known
    shape. Costs memory and time that only the caller's jail bounds.
    """
    check_bounds(wasm, Bounds(wasm_bytes=max_bytes, functions=max_functions))
    stripped, lines = without_lines(wasm)
    try:
        wasmtime.Module.validate(engine(), stripped)
        module = wasmtime.Module(engine(), stripped)
    except wasmtime.WasmtimeError as error:
        raise ModuleRefused(str(error).strip().splitlines()[-1].strip()) from error
    shape = shape_of(module)
    return Made(stripped, bytes(module.serialize()), lines, shape)


def precompile_component(wasm: bytes) -> Made:
    """The same of a component, which must be our own: nothing bounds what it costs the compiler."""
    try:
        component = Component(component_engine(), wasm)
    except wasmtime.WasmtimeError as error:
        raise ModuleRefused(str(error).strip().splitlines()[-1].strip()) from error
    python.check_shape(component_engine(), component)
    return Made(wasm, bytes(component.serialize()), b"", Shape.PYTHON)


def seal(native: bytes, key: bytes, identity: str) -> bytes:
    """The seal of `native` under `identity`, which names wasm digest and configuration: HMAC-SHA256, 32 bytes."""
    begun = _begin_seal(key, identity)
    begun.update(native)
    return begun.digest()


def verify(native: bytes, mac: bytes, key: bytes, identity: str) -> None:
    """Raises `NativeCodeRefused` unless `mac` is the seal of these bytes under this identity."""
    if not hmac.compare_digest(seal(native, key, identity), mac):
        raise NativeCodeRefused


def verify_file(path: Path, mac: bytes, key: bytes, identity: str) -> None:
    """The same of what a file holds, a piece at a time: to have all of it in memory takes longer than to verify it."""
    begun, buffer = _begin_seal(key, identity), bytearray(_PIECE_BYTES)
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            begun.update(memoryview(buffer)[:count])
    if not hmac.compare_digest(begun.digest(), mac):
        raise NativeCodeRefused


def _begin_seal(key: bytes, identity: str) -> hmac.HMAC:
    if len(key) < _KEY_BYTES:
        message = f"a sealing key has at least {_KEY_BYTES} bytes"
        raise ValueError(message)
    name = identity.encode()
    return hmac.new(key, len(name).to_bytes(8, "big") + name, hashlib.sha256)


def load(path: Path) -> Program:
    """The module or component in the file at `path`, mapped and not copied: replace the file by renaming, never write
    into it.

    The caller has verified what the file holds, in a directory that only it can write. Raises `NativeCodeRefused` for
    code of another engine version or configuration.
    """
    try:
        if _is_of_a_component(path):
            return Component.deserialize_file(component_engine(), str(path))
        return wasmtime.Module.deserialize_file(engine(), str(path))
    except wasmtime.WasmtimeError as error:
        raise NativeCodeRefused(str(error)) from error


def load_from_memory(native: bytes) -> Program:
    """The same of bytes, which the caller has verified, without a disk."""
    descriptor = os.memfd_create("native")
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(native)
        return load(Path(f"/proc/self/fd/{descriptor}"))
    finally:
        os.close(descriptor)


def _is_of_a_component(path: Path) -> bool:
    with path.open("rb") as file:
        header = file.read(_KIND.stop)
    return bool(int.from_bytes(header[_KIND], "little") & _OF_A_COMPONENT)
