"""What it costs to count the instructions of every execution, which the engine calls fuel.

    python -m bench.fuel

Two engines in one process, which differ in nothing but that: each module is compiled for both, and executed by both in
turn, so that what else the machine does meets both alike. The time is that of the execution as the worker has it:
store, instance, call, answer. Beside it the size of the native code, and what was counted, which is the same each time.
"""

import os
import statistics
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import wasmtime

from app.toolchains import LANGUAGES
from app.wasm import engine as engines
from app.wasm import run as running
from app.wasm.limits import MIB, Limits
from app.wasm.lines import without_lines
from bench.sources import EXAMPLES, SHARED

LIMITS = Limits(timeout_ms=60_000, memory_bytes=64 * MIB)
FULL = 1 << 60
GREETINGS, SIEVES = 1000, 200

#: The sieve of the other two examples, once more.
PRIMES_IN_RUST = """
#[derive(serde::Deserialize)]
pub struct Input { limit: usize }

pub fn handle(input: Input) -> Result<serde_json::Value, String> {
    let mut composite = vec![false; input.limit + 1];
    let (mut count, mut largest) = (0u32, 0usize);
    for number in 2..=input.limit {
        if composite[number] { continue; }
        count += 1;
        largest = number;
        let mut multiple = number * number;
        while multiple <= input.limit {
            composite[multiple] = true;
            multiple += number;
        }
    }
    Ok(serde_json::json!({"count": count, "largest": largest}))
}
"""


@dataclass(frozen=True)
class Case:
    """A source, and how it is executed."""

    name: str
    language: str
    source: str
    text: str
    calls: int


def cases() -> Iterator[Case]:
    """One that does next to nothing and one that does nothing but work, in each of three languages."""
    for language in ("assemblyscript", "c", "rust"):
        folder, extension = EXAMPLES / language, LANGUAGES[language].extension
        greet = (folder / f"greet.{extension}").read_text()
        sieve = PRIMES_IN_RUST if language == "rust" else (folder / f"primes.{extension}").read_text()
        yield Case("greet", language, greet, '{"name":"Ada"}', GREETINGS)
        yield Case("primes", language, sieve, '{"limit":1000000}', SIEVES)


PlainStore = wasmtime.Store


class FuelledStore(PlainStore):
    """A store that is full, and says what is left when it is closed."""

    left = FULL

    def __init__(self, engine: wasmtime.Engine) -> None:
        super().__init__(engine)
        self.set_fuel(FULL)

    def close(self) -> None:
        """Close it, which is done twice: at the end of the execution, and when the object goes."""
        with suppress(ValueError):
            FuelledStore.left = self.get_fuel()
        super().close()


class Side:
    """One of the two engines, with what the runtime keeps for it."""

    def __init__(self, *, fuel: bool) -> None:
        config = engines._config()
        config.consume_fuel = fuel
        self._engine = wasmtime.Engine(config)
        self._store = FuelledStore if fuel else PlainStore
        engines._engines[os.getpid()] = self._engine
        self._host = running._Host()
        assert self._host.modules.engine is self._engine

    def compile(self, wasm: bytes) -> wasmtime.Module:
        """The module for this engine."""
        return wasmtime.Module(self._engine, wasm)

    def execute(self, module: wasmtime.Module, text: str) -> float:
        """One execution by the runtime, which takes this engine for the process's; milliseconds."""
        running._hosts[os.getpid()] = self._host
        setattr(wasmtime, "Store", self._store)  # noqa: B010 - the runtime's own name for it
        outcome = running.run(module, text, limits=LIMITS, context={}, environment={})
        assert outcome.output is not None, outcome
        return outcome.duration_ms


def measure(case: Case, plain: Side, fuelled: Side) -> None:
    """One line."""
    toolchain = LANGUAGES[case.language]
    if reason := toolchain.missing():
        print(f"{case.name:<8} {case.language:<16} {reason}")
        return
    toolchain.prepare(SHARED)
    wasm, _ = without_lines(toolchain.compile(case.source.encode(), shared=SHARED).wasm)
    sides = [(side, side.compile(wasm)) for side in (plain, fuelled)]
    times: dict[Side, list[float]] = {plain: [], fuelled: []}
    spent = set[int]()
    for call in range(case.calls):
        # What comes second finds what the first has left in the processor's caches.
        for side, module in sides if call % 2 else reversed(sides):
            times[side].append(side.execute(module, case.text))
        spent.add(FULL - FuelledStore.left)
    without, with_fuel = (statistics.median(times[side][case.calls // 10 :]) for side in (plain, fuelled))
    without_bytes, with_bytes = (len(module.serialize()) for _, module in sides)
    counted = f"{spent.pop():,}" if len(spent) == 1 else f"{min(spent):,} to {max(spent):,}"
    print(
        f"{case.name:<8} {case.language:<16} {without:8.3f} ms, with fuel {with_fuel:8.3f} ms "
        f"({with_fuel / without - 1:+5.0%}); native code {with_bytes / without_bytes - 1:+.0%}; fuel {counted}"
    )


def main() -> None:
    """Measure and print."""
    plain, fuelled = Side(fuel=False), Side(fuel=True)
    for case in cases():
        measure(case, plain, fuelled)


if __name__ == "__main__":
    main()
