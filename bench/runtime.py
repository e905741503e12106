"""What the runtime costs above a bare call of wasmtime's bindings, and how long a warm call takes in each language.

    python -m bench.runtime [calls]

Both in this one process, call by call in turn, so that the machine's moods hit both. Bare is a new store with an epoch
deadline, an instance of a module whose imports are resolved already, and `handle`; every host function is one line
that answers 0. Ours is what an execute worker does between having the input and having the outcome.
"""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from statistics import quantiles

import wasmtime

from app.functions import artifacts
from app.toolchains import LANGUAGES
from app.toolchains.toolchain import Compiled
from app.wasm.engine import engine
from app.wasm.layer import Layer, Script, read
from app.wasm.limits import Limits
from app.wasm.native import Program, load
from app.wasm.run import run
from bench.sources import GREETINGS, INPUT, SHARED

_LIMITS = Limits(timeout_ms=10_000, memory_bytes=128 << 20)
#: Where a bare call is easily made: modules of the memory ABI that are one function's own.
_COMPARED = ("assemblyscript", "c", "cpp", "rust", "zig")
_GOALS_MS = {"assemblyscript": 0.2, "c": 0.2, "rust": 0.2, "zig": 0.2, "go": 1.2, "python": 2.5}
_GOALS_MS |= dict.fromkeys(("javascript", "typescript"), 0.5)


def bare(module: wasmtime.Module, text: bytes) -> Callable[[], bytes]:
    """A call without a runtime."""
    linker = wasmtime.Linker(engine())
    for wanted in {(one.module, one.name): one for one in module.imports}.values():
        assert isinstance(wanted.type, wasmtime.FuncType)
        answers = 0 if wanted.type.results else None
        linker.define_func(wanted.module, wanted.name or "", wanted.type, lambda *_, answers=answers: answers)
    template = linker.instantiate_pre(module)
    starts = any(one.name == "_initialize" for one in module.exports)

    def call() -> bytes:
        store = wasmtime.Store(engine())
        store.set_epoch_deadline(1)
        exports = template.instantiate(store).exports(store)
        if starts:
            exports["_initialize"](store)  # type: ignore[operator]
        memory = exports["memory"]
        assert isinstance(memory, wasmtime.Memory)
        at = exports["alloc"](store, len(text))  # type: ignore[operator]
        memory.write(store, text, at)
        packed = exports["handle"](store, at, len(text))  # type: ignore[operator]
        pointer, length = packed >> 32 & 0xFFFF_FFFF, packed & 0xFFFF_FFFF
        return bytes(memory.read(store, pointer, pointer + length))

    return call


def ours(program: Program, layer: Layer | Script | None) -> Callable[[], bytes]:
    """A call as workers make it."""

    def call() -> bytes:
        outcome = run(program, INPUT, layer=layer, limits=_LIMITS, context={}, environment={})
        assert outcome.output is not None, outcome
        return outcome.output.encode()

    return call


def loaded(compiled: Compiled, folder: Path) -> tuple[Program, Layer | Script | None]:
    """What a worker has in memory of a function."""
    path = folder / "native"
    path.write_bytes(artifacts.of(compiled, "greeting").native)
    program = load(path)
    path.unlink()
    return program, None if compiled.layer is None else read(program, compiled.layer)


def timed(calls: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each call, one after the other in turn."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            taken[name].append((time.perf_counter() - began) * 1000)
    return taken


def languages() -> Iterator[tuple[str, Compiled]]:
    """The greeting in every language that this machine has."""
    for name, path in GREETINGS.items():
        if reason := LANGUAGES[name].missing():
            print(f"{name:15} {reason}")
            continue
        LANGUAGES[name].prepare(SHARED)
        yield name, LANGUAGES[name].compile(path.read_bytes(), shared=SHARED)


def main(rounds: int) -> None:
    """Measure and print."""
    print("a warm call, ms     bare p50   ours p50   p95      ratio   goal")
    for name, compiled in languages():
        program, layer = loaded(compiled, SHARED)
        calls = {"ours": ours(program, layer)}
        if name in _COMPARED:
            assert isinstance(program, wasmtime.Module)
            calls["bare"] = bare(program, INPUT.encode())
            assert calls["bare"]() == calls["ours"](), name
        timed(calls, 50)
        taken = timed(calls, rounds)
        middle = {one: quantiles(values, n=20) for one, values in taken.items()}
        before = f"{middle['bare'][9]:8.3f}" if "bare" in middle else "       -"
        ratio = f"{middle['ours'][9] / middle['bare'][9]:6.2f}" if "bare" in middle else "     -"
        goal = f"{_GOALS_MS[name]:5.1f}" if name in _GOALS_MS else "    -"
        print(f"{name:18} {before}   {middle['ours'][9]:8.3f}   {middle['ours'][18]:6.3f}  {ratio}   {goal}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
