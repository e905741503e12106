"""Runs a module or a component once: the only door to a guest."""

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Final

import wasmtime
from wasmtime.component import Component

from app.wasm import assemblyscript, command, exports, memory_abi, python
from app.wasm import limits as fixed
from app.wasm.endings import verdict_of
from app.wasm.engine import component_engine, engine
from app.wasm.errors import AlreadyRunning, EngineFailed, LayerRefused
from app.wasm.guest import Ended, Exited, Guest
from app.wasm.layer import Layer, Script
from app.wasm.limits import Limits
from app.wasm.linking import Slot, linker
from app.wasm.outcome import Outcome, Verdict, plain
from app.wasm.progress import Reported
from app.wasm.shapes import HOST_FUNCTIONS, Shape, exports_initializer, shape_of
from app.wasm.watchdog import Watchdog

#: Answers its input: `alloc` says where that goes, and `handle` that the answer is there.
_NOTHING: Final = bytes.fromhex(
    "0061736d01000000010c0260017f017f60027f7f017e03030200010503010001071b03066d656d6f7279020005616c6c6f63"
    "00000668616e646c6500010a140205004180080b0c002000ad4220862001ad840b0010046e616d6502090101020001700101"
    "6e"
)

Invoke = Callable[[Guest, wasmtime.Instance, str], str]
#: Runs a program with its layer on an input.
Started = Callable[[Guest, str], str]

_INVOKE: Final[Mapping[Shape, Invoke]] = {
    Shape.MEMORY_ABI: memory_abi.invoke,
    Shape.WASI_COMMAND: command.invoke,
    Shape.ASSEMBLYSCRIPT: assemblyscript.invoke,
}


def run(
    program: wasmtime.Module | Component,
    input: str,  # noqa: A002
    *,
    layer: Layer | Script | None = None,
    limits: Limits,
    context: Mapping[str, object],
    environment: Mapping[str, str],
    reported: Reported | None = None,
) -> Outcome:
    """Runs `program` on the JSON text `input`, in a store of its own, and says how it ended.

    `program` must come from this process's engine of its kind, and `layer` is what makes it this function's; `context`
    is what the function may know of its execution, and `environment` its variables. `reported` has at any time what it
    has said of its progress. Whatever the guest does is an `Outcome`. Raises `UnsupportedModule` for a module that was
    never accepted, `LayerRefused` for a layer of another kind of program, `AlreadyRunning` where another thread runs
    one, `EngineFailed` for a fault of the platform. A guest that cannot be interrupted ends the process.
    """
    host = _host()
    if isinstance(program, Component):
        invoke = host.components.invoke(program, layer)
        return host.run(host.components, invoke, input, limits, context, environment, reported)
    return host.run(host.modules, host.modules.invoke(program, layer), input, limits, context, environment, reported)


def translate(component: Component, source: str, *, limits: Limits) -> Outcome:
    """Has a component read a source without running it; the output is the code of a `Script`, or the message is what is
    wrong, as `line:column: message`.
    """
    host = _host()
    return host.run(host.components, host.components.translate(component), source, limits, {}, {})


def warm_up() -> None:
    """Do what the first execution in a process would spend tens of milliseconds on, with a module of our own: engine,
    host functions, the engine's ways through this process. Nothing else may run meanwhile.
    """
    outcome = run(wasmtime.Module(engine(), _NOTHING), "null", limits=Limits(), context={}, environment={})
    if outcome.output != "null":
        message = f"a module that does nothing ended as {outcome}"
        raise EngineFailed(message)


def prepare(program: wasmtime.Module | Component) -> None:
    """Do what the first execution of a program in this process would have to; one may run meanwhile, in another
    thread.
    """
    host = _host()
    if isinstance(program, Component):
        host.components.expect(program)
    else:
        host.modules.expect(program)


def interrupt() -> None:
    """Ends the guest that runs in this process, if one does, as its deadline would; any thread may call it."""
    _host().interrupt()


class _Kind:
    """What one process keeps for programs of one engine."""

    def __init__(self, made_for: wasmtime.Engine) -> None:
        self.engine = made_for
        self.slot = Slot()
        self.watchdog = Watchdog(made_for)


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A module with its imports resolved."""

    template: wasmtime.InstancePre
    invoke: Invoke
    has_initializer: bool


class _Modules(_Kind):
    """What it keeps for modules."""

    def __init__(self) -> None:
        super().__init__(engine())
        self._linker = linker(self.engine, self.slot, HOST_FUNCTIONS)
        # Entries go with the caller's modules, so that the caller's cache is the only one to bound.
        self._prepared: weakref.WeakKeyDictionary[wasmtime.Module, _Prepared] = weakref.WeakKeyDictionary()
        self._preparing = threading.Lock()

    def invoke(self, module: wasmtime.Module, layer: Layer | Script | None) -> Started:
        if not isinstance(layer, Layer | None):
            raise LayerRefused
        return partial(_invoke, self._prepare(module), layer)

    def expect(self, module: wasmtime.Module) -> None:
        self._prepare(module)

    def _prepare(self, module: wasmtime.Module) -> _Prepared:
        with self._preparing:
            found = self._prepared.get(module)
            if found is None:
                found = self._prepared[module] = self._prepare_anew(module)
        return found

    def _prepare_anew(self, module: wasmtime.Module) -> _Prepared:
        shape = shape_of(module)
        try:
            template = self._linker.instantiate_pre(module)
        except wasmtime.WasmtimeError as error:
            message = f"The module cannot be linked: {error}"
            raise EngineFailed(message) from error
        return _Prepared(template, _INVOKE[shape], exports_initializer(module))


class _Components(_Kind):
    """What it keeps for components."""

    def __init__(self) -> None:
        super().__init__(component_engine())
        self._linker = python.linker(self.engine, self.slot)

    def invoke(self, component: Component, layer: Layer | Script | None) -> Started:
        if layer is None or isinstance(layer, Layer):
            raise LayerRefused
        return lambda guest, text: python.invoke(guest, self._linker, component, layer, text)

    def expect(self, component: Component) -> None:
        """A component is linked anew for each execution; what there is to do is done once this is there."""

    def translate(self, component: Component) -> Started:
        return lambda guest, source: python.translate(guest, self._linker, component, source)


class _Host:
    """What one process keeps between executions; each kind from its first use. Two threads that use a kind first make
    it twice, and each may go on with its own.
    """

    def __init__(self) -> None:
        self._busy = threading.Lock()
        self._running: _Kind | None = None

    @cached_property
    def modules(self) -> _Modules:
        return _Modules()

    @cached_property
    def components(self) -> _Components:
        return _Components()

    def interrupt(self) -> None:
        running = self._running
        if running is not None:
            running.watchdog.interrupt()

    def run(
        self,
        kind: _Kind,
        invoke: Started,
        text: str,
        limits: Limits,
        context: Mapping[str, object],
        environment: Mapping[str, str],
        reported: Reported | None = None,
    ) -> Outcome:
        with self._alone(kind):
            guest = Guest(wasmtime.Store(kind.engine), limits, context, environment, reported or Reported())
            return _execute(kind, invoke, text, guest)

    @contextmanager
    def _alone(self, kind: _Kind) -> Iterator[None]:
        if not self._busy.acquire(blocking=False):
            raise AlreadyRunning
        self._running = kind
        try:
            yield
        finally:
            self._running = None
            self._busy.release()


def _execute(kind: _Kind, invoke: Started, text: str, guest: Guest) -> Outcome:
    output: str | None = None
    verdict: Verdict | None = None
    try:
        kind.slot.guest = guest
        kind.watchdog.arm(guest.deadline)
        # Counted from the present epoch, and only this execution's own deadline moves it on.
        guest.store.set_epoch_deadline(1)
        try:
            output = invoke(guest, text)
        finally:
            kind.watchdog.disarm()
            kind.slot.guest = None
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


def _invoke(prepared: _Prepared, layer: Layer | None, guest: Guest, text: str) -> str:
    store = guest.store
    store.set_limits(
        memory_size=guest.limits.memory_bytes,
        table_elements=fixed.TABLE_ENTRIES,
        instances=fixed.INSTANCES,
        tables=fixed.TABLES,
        memories=fixed.MEMORIES,
    )
    try:
        instance = prepared.template.instantiate(store)
    finally:
        guest.leave()
    guest.instance, guest.memory = instance, exports.memory(store, instance)
    if layer is not None:
        layer.lay(store, guest.memory)
    if prepared.has_initializer:
        guest.start(instance, "_initialize")
    return prepared.invoke(guest, instance, text)


_hosts: dict[int, _Host] = {}


def _host() -> _Host:
    """This process's host, made again after a fork: the watchdog's thread stays with the parent."""
    pid = os.getpid()
    found = _hosts.get(pid)
    return found if found is not None else _hosts.setdefault(pid, _Host())
