"""Types of functions, written as `i32 i32 -> i64`."""

from dataclasses import dataclass

import wasmtime

_TYPES = {"i32": wasmtime.ValType.i32, "i64": wasmtime.ValType.i64, "f64": wasmtime.ValType.f64}
_MASKS = {"i32": 0xFFFF_FFFF, "i64": 0xFFFF_FFFF_FFFF_FFFF, "f64": None}


@dataclass(frozen=True, slots=True)
class Signature:
    """What a function takes and returns, as the names of WebAssembly's types."""

    parameters: tuple[str, ...]
    results: tuple[str, ...]

    @classmethod
    def of(cls, function: wasmtime.FuncType) -> "Signature":
        """The signature that the engine reports."""
        return cls(tuple(map(str, function.params)), tuple(map(str, function.results)))

    @classmethod
    def parse(cls, text: str) -> "Signature":
        """Reads what `str` writes."""
        parameters, _, results = text.partition("->")
        return cls(tuple(parameters.split()), tuple(results.split()))

    def functype(self) -> wasmtime.FuncType:
        """The engine's type for it."""
        return wasmtime.FuncType([_TYPES[t]() for t in self.parameters], [_TYPES[t]() for t in self.results])

    def masks(self) -> tuple[int | None, ...]:
        """For each parameter the bits that make it unsigned, None for a float."""
        return tuple(_MASKS[name] for name in self.parameters)

    def __str__(self) -> str:
        return f"({' '.join(self.parameters)}) -> ({' '.join(self.results)})"
