"""Looks up one export of an instance.

`Instance.exports` builds an object for every export at each new instance, 12 µs each, and a module may have hundreds;
the engine's C interface, which the bindings wrap, finds one by name. This is the only place that reaches through them.
"""
# ruff: noqa: SLF001

from ctypes import byref, create_string_buffer

import wasmtime
from wasmtime import _ffi as ffi
from wasmtime._extern import wrap_extern

from app.wasm.errors import UnsupportedModule


def function(store: wasmtime.Store, instance: wasmtime.Instance, name: str) -> wasmtime.Func:
    """The exported function `name`; raises `UnsupportedModule` where there is none."""
    found = _export(store, instance, name)
    if not isinstance(found, wasmtime.Func):
        raise _missing(name)
    return found


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
    found = ffi.wasmtime_extern_t()
    wanted = name.encode()
    if not ffi.wasmtime_instance_export_get(
        store._context(), byref(instance._instance), create_string_buffer(wanted), len(wanted), byref(found)
    ):
        raise _missing(name)
    return wrap_extern(found)


def _missing(name: str) -> UnsupportedModule:
    return UnsupportedModule(f"The module has no export {name} of the kind that its shape needs.")
