"""Which way a module is invoked, told from its exports; what cannot run is refused before it is kept."""

from collections.abc import Mapping
from enum import StrEnum

import wasmtime

from app.wasm.assemblyscript_host import ENV
from app.wasm.errors import UnsupportedModule
from app.wasm.host import KILN
from app.wasm.signature import Signature
from app.wasm.wasi import WASI


class Shape(StrEnum):
    """The ways of invoking a module."""

    MEMORY_ABI = "MEMORY_ABI"
    WASI_COMMAND = "WASI_COMMAND"
    ASSEMBLYSCRIPT = "ASSEMBLYSCRIPT"
    PYTHON = "PYTHON"
    """CPython, a component of our own: no module that somebody sends has this shape."""


HOST_FUNCTIONS = (*KILN, *WASI, *ENV)

_OFFERED = {(function.module, function.name): function.signature for function in HOST_FUNCTIONS}

_REQUIRED = {
    Shape.MEMORY_ABI: {"alloc": "i32 -> i32", "handle": "i32 i32 -> i64"},
    Shape.ASSEMBLYSCRIPT: {"__new": "i32 i32 -> i32", "__pin": "i32 -> i32", "handle": "i32 -> i32"},
    Shape.WASI_COMMAND: {"_start": "->"},
}
_OPTIONAL = {"_initialize": "->"}

_EXPECTED = (
    "memory, alloc (i32) -> (i32) and handle (i32 i32) -> (i64); "
    "or memory and _start () -> (); "
    "or memory, __new (i32 i32) -> (i32), __pin (i32) -> (i32) and handle (i32) -> (i32)"
)
_NAMES_SHOWN = 20

Exports = Mapping[str, object]


def shape_of(module: wasmtime.Module) -> Shape:
    """The shape of `module`; raises `UnsupportedModule` that says what was expected and what was found."""
    _check_imports(module)
    exports: Exports = {export.name: export.type for export in module.exports}
    if isinstance(exports.get("memory"), wasmtime.MemoryType):
        for shape, required in _REQUIRED.items():
            if all(_has(exports, name, signature) for name, signature in required.items()):
                _check_optional(exports)
                return shape
    message = f"The module must export {_EXPECTED}. It exports {_listed(exports)}."
    raise UnsupportedModule(message)


def exports_initializer(module: wasmtime.Module) -> bool:
    """Whether `_initialize` is to be called first."""
    return any(export.name == "_initialize" for export in module.exports)


def _has(exports: Exports, name: str, signature: str) -> bool:
    found = exports.get(name)
    return isinstance(found, wasmtime.FuncType) and Signature.of(found) == Signature.parse(signature)


def _check_optional(exports: Exports) -> None:
    for name, signature in _OPTIONAL.items():
        if name in exports and not _has(exports, name, signature):
            message = f"The export {name} must be a function {Signature.parse(signature)}."
            raise UnsupportedModule(message)


def _check_imports(module: wasmtime.Module) -> None:
    for wanted in module.imports:
        name = f"{wanted.module}.{wanted.name}"
        offered = _OFFERED.get((wanted.module, wanted.name or ""))
        if not isinstance(wanted.type, wasmtime.FuncType):
            message = f"The import {name} is not a function; memories, tables and globals are the module's own."
            raise UnsupportedModule(message)
        if offered is None:
            message = f"The import {name} does not exist here; there are kiln, wasi_snapshot_preview1 and env."
            raise UnsupportedModule(message)
        if Signature.of(wanted.type) != offered:
            message = f"The import {name} is {offered} here, not {Signature.of(wanted.type)}."
            raise UnsupportedModule(message)


def _listed(exports: Exports) -> str:
    shown = []
    for name, kind in list(exports.items())[:_NAMES_SHOWN]:
        shown.append(f"{name} {Signature.of(kind)}" if isinstance(kind, wasmtime.FuncType) else name)
    more = len(exports) - len(shown)
    return (", ".join(shown) or "nothing") + (f" and {more} more" if more > 0 else "")
