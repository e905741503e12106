"""Runs a module once: the only door to a guest."""

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import wasmtime

from app.wasm import assemblyscript, command, exports, memory_abi
from app.wasm import limits as fixed
from app.wasm.endings import verdict_of
from app.wasm.engine import engine
from app.wasm.errors import AlreadyRunning, EngineFailed
from app.wasm.guest import Ended, Exited, Guest
from app.wasm.layer import Layer
from app.wasm.limits import Limits
from app.wasm.linking import Slot, linker
from app.wasm.outcome import Outcome, Verdict, plain
from app.wasm.shapes import HOST_FUNCTIONS, Shape, exports_initializer, shape_of
from app.wasm.watchdog import Watchdog

Invoke = Callable[[Guest, wasmtime.Instance, str], str]

_INVOKE: Final[Mapping[Shape, Invoke]] = {
    Shape.MEMORY_ABI: memory_abi.invoke,
    Shape.WASI_COMMAND: command.invoke,
    Shape.ASSEMBLYSCRIPT: assemblyscript.invoke,
}


def run(
    module: wasmtime.Module,
    input: str,  # noqa: A002
    *,
    layer: Layer | None = None,
    limits: Limits,
    context: Mapping[str, object],
    environment: Mapping[str, str],
) -> Outcome:
    """Runs `module` on the JSON text `input`, in a store of its own, and says how it ended.

    `module` must come from this process's engine, and `layer` is what makes it this function's; `context` is what the
    function may know of its execution, and `environment` its variables. Whatever the guest does is an `Outcome`. Raises
    `UnsupportedModule` for a module that was never accepted, `AlreadyRunning` where another thread runs one,
    `EngineFailed` for a fault of the platform. A guest that cannot be interrupted ends the process.
    """
    host = _host()
    prepared = host.prepared(module)
    with host.alone():
        guest = Guest(wasmtime.Store(host.engine), limits, context, environment)
        return host.execute(prepared, layer, input, guest)


def interrupt() -> None:
    """Ends the guest that runs in this process, if one does, as its deadline would; any thread may call it."""
    _host().interrupt()


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A module with its imports resolved."""

    template: wasmtime.InstancePre
    invoke: Invoke
    has_initializer: bool


class _Host:
    """What one process keeps between executions."""

    def __init__(self, made_for: wasmtime.Engine) -> None:
        self.engine = made_for
        self._slot = Slot()
        self._linker = linker(made_for, self._slot, HOST_FUNCTIONS)
        self._watchdog = Watchdog(made_for)
        self._busy = threading.Lock()
        # Entries go with the caller's modules, so that the caller's cache is the only one to bound.
        self._prepared: weakref.WeakKeyDictionary[wasmtime.Module, _Prepared] = weakref.WeakKeyDictionary()

    def prepared(self, module: wasmtime.Module) -> _Prepared:
        found = self._prepared.get(module)
        if found is None:
            shape = shape_of(module)
            try:
                template = self._linker.instantiate_pre(module)
            except wasmtime.WasmtimeError as error:
                message = f"The module cannot be linked: {error}"
                raise EngineFailed(message) from error
            found = self._prepared[module] = _Prepared(template, _INVOKE[shape], exports_initializer(module))
        return found

    @contextmanager
    def alone(self) -> Iterator[None]:
        if not self._busy.acquire(blocking=False):
            raise AlreadyRunning
        try:
            yield
        finally:
            self._busy.release()

    def interrupt(self) -> None:
        self._watchdog.interrupt()

    def execute(self, prepared: _Prepared, layer: Layer | None, text: str, guest: Guest) -> Outcome:
        output: str | None = None
        verdict: Verdict | None = None
        try:
            try:
                output = self._invoke(prepared, layer, text, guest)
            finally:
                self._watchdog.disarm()
                self._slot.guest = None
        except (Ended, Exited, wasmtime.Trap, wasmtime.WasmtimeError) as error:
            verdict = verdict_of(error, guest)
        finally:
            peak = guest.memory_bytes
            guest.store.close()
        return Outcome(
            output=output,
            failure=verdict.failure if verdict else None,
            message=plain(verdict.message) if verdict else None,
            location=plain(verdict.location) if verdict and verdict.location else None,
            logs=guest.log.text(),
            duration_ms=(time.monotonic() - guest.started) * 1000,
            memory_peak_bytes=peak,
            fuel_used=None,
            frames=verdict.frames if verdict else (),
        )

    def _invoke(self, prepared: _Prepared, layer: Layer | None, text: str, guest: Guest) -> str:
        store = guest.store
        store.set_limits(
            memory_size=guest.limits.memory_bytes,
            table_elements=fixed.TABLE_ENTRIES,
            instances=fixed.INSTANCES,
            tables=fixed.TABLES,
            memories=fixed.MEMORIES,
        )
        self._slot.guest = guest
        self._watchdog.arm(guest.deadline)
        # Counted from the present epoch, and only this execution's own deadline moves it on.
        store.set_epoch_deadline(1)
        try:
            instance = prepared.template.instantiate(store)
        finally:
            guest.leave()
        guest.instance, guest.memory = instance, exports.memory(store, instance)
        if layer is not None:
            layer.lay(store, guest.memory)
        if prepared.has_initializer:
            guest.call(exports.function(store, instance, "_initialize"))
        return prepared.invoke(guest, instance, text)


_hosts: dict[int, _Host] = {}


def _host() -> _Host:
    """This process's host, made again after a fork: the watchdog's thread stays with the parent."""
    pid = os.getpid()
    found = _hosts.get(pid)
    return found if found is not None else _hosts.setdefault(pid, _Host(engine()))
