"""Looks up one export of an instance, and calls it.

`Instance.exports` builds an object for every export at each new instance, 12 µs each, and a module may have hundreds;
`Func.__call__` asks anew which types a function takes, which costs more than a short call. The engine's C interface,
which the bindings wrap, finds one by name and checks types by itself. This is the only place that reaches through them.
"""
# ruff: noqa: SLF001

from ctypes import byref, create_string_buffer
from typing import Any

import wasmtime
from wasmtime import _ffi as ffi
from wasmtime._extern import wrap_extern
from wasmtime._func import enter_wasm

from app.wasm.errors import UnsupportedModule

# What a structure's `kind` is compared to; the bindings' types have it as what C calls it, and not as an int.
_FUNCTION: Any = ffi.WASMTIME_EXTERN_FUNC.value
_I32: Any = ffi.WASMTIME_I32.value
_I64: Any = ffi.WASMTIME_I64.value


def call(store: wasmtime.Store, instance: wasmtime.Instance, name: str, *parameters: int) -> int:
    """Calls an exported function with integers of 32 bits and returns its integer, signed.

    Raises what ends the guest, and `UnsupportedModule` where there is no such function.
    """
    answer = ffi.wasmtime_val_t()
    _call(store, _function(store, instance, name), parameters, answer)
    return int(answer.of.i64 if answer.kind == _I64 else answer.of.i32)


def start(store: wasmtime.Store, instance: wasmtime.Instance, name: str) -> None:
    """The same of a function that takes and returns nothing."""
    _call(store, _function(store, instance, name), (), None)


def memory(store: wasmtime.Store, instance: wasmtime.Instance) -> wasmtime.Memory:
    """The exported memory; raises `UnsupportedModule` where there is none."""
    found = _export(store, instance, "memory")
    if not isinstance(found, wasmtime.Memory):
        raise _missing("memory")
    return found


def stack_pointer(store: wasmtime.Store, instance: wasmtime.Instance) -> int | None:
    """Where the stack that a compiler keeps in memory ends, signed; None where the module does not say."""
    try:
        found = _export(store, instance, "__stack_pointer")
    except UnsupportedModule:
        return None
    value = found.value(store) if isinstance(found, wasmtime.Global) else None
    return value if isinstance(value, int) else None


def _export(store: wasmtime.Store, instance: wasmtime.Instance, name: str) -> object:
    return wrap_extern(_found(store, instance, name))


def _function(store: wasmtime.Store, instance: wasmtime.Instance, name: str) -> ffi.wasmtime_func_t:
    found = _found(store, instance, name)
    if found.kind != _FUNCTION:
        raise _missing(name)
    return found.of.func


def _found(store: wasmtime.Store, instance: wasmtime.Instance, name: str) -> ffi.wasmtime_extern_t:
    found = ffi.wasmtime_extern_t()
    wanted = name.encode()
    if not ffi.wasmtime_instance_export_get(
        store._context(), byref(instance._instance), create_string_buffer(wanted), len(wanted), byref(found)
    ):
        raise _missing(name)
    return found


def _call(
    store: wasmtime.Store, function: ffi.wasmtime_func_t, parameters: tuple[int, ...], answer: ffi.wasmtime_val_t | None
) -> None:
    given = (ffi.wasmtime_val_t * len(parameters))()
    for place, parameter in zip(given, parameters, strict=True):
        place.kind, place.of.i32 = _I32, parameter
    with enter_wasm(store) as trap:
        error = ffi.wasmtime_func_call(
            *(store._context(), byref(function), given, len(given)),
            *(None if answer is None else byref(answer), 0 if answer is None else 1, trap),
        )
        if error:
            raise wasmtime.WasmtimeError._from_ptr(error)


def _missing(name: str) -> UnsupportedModule:
    return UnsupportedModule(f"The module has no export {name} of the kind that its shape needs.")
