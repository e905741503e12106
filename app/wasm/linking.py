"""Host functions made callable by guests, once a process for all modules."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import wasmtime

from app.wasm.guest import Guest
from app.wasm.signature import Signature


@dataclass(frozen=True, slots=True)
class HostFunction:
    """A function that guests may import.

    `call` receives the guest that runs and the parameters, integers unsigned.
    """

    module: str
    name: str
    signature: Signature
    call: Callable[..., int | float | None]

    @classmethod
    def of(cls, module: str, name: str, signature: str, call: Callable[..., int | float | None]) -> "HostFunction":
        """One line of a table of functions."""
        return cls(module, name, Signature.parse(signature), call)


class Slot:
    """Where host functions find the guest that runs now; one runs at a time in a process."""

    __slots__ = ("guest",)

    def __init__(self) -> None:
        self.guest: Guest | None = None


def linker(engine: wasmtime.Engine, slot: Slot, functions: Iterable[HostFunction]) -> wasmtime.Linker:
    """A linker that offers `functions` to every module of `engine`."""
    made = wasmtime.Linker(engine)
    for function in functions:
        made.define_func(
            function.module, function.name, function.signature.functype(), _bound(slot, function), access_caller=True
        )
    return made


def _bound(slot: Slot, function: HostFunction) -> Callable[..., int | float | None]:
    call, masks = function.call, function.signature.masks()

    def enter(caller: wasmtime.Caller, *parameters: int) -> int | float | None:
        guest = slot.guest
        if guest is None:
            raise RuntimeError("a guest called while none was running")
        guest.enter(caller)
        return call(guest, *(p if m is None else p & m for p, m in zip(parameters, masks, strict=True)))

    return enter
