"""What every language offers."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import ClassVar

from app.toolchains.errors import ToolchainMissing
from app.toolchains.jail import JailLimits, unsound, unusable
from app.toolchains.parts import Part

_EXAMPLES = Path(__file__).parents[2] / "examples"


@dataclass(frozen=True)
class SharedModule:
    """What all functions of a language share: made of nothing that an author wrote. `native` is a file with its native
    code, where a part has that; only so does a component become an artifact.
    """

    wasm: Path
    native: Path | None = None


@dataclass(frozen=True)
class Compiled:
    """A module and how it came to be. `toolchain`, its version and `flags` are what an equal compilation needs.

    Where many functions share a module, `layer` is what makes it this one's, and `native` the file of its native code,
    if there is one.
    """

    wasm: bytes
    log: str
    toolchain: str
    toolchain_version: str
    flags: tuple[str, ...]
    duration_ms: int
    layer: bytes | None = None
    native: Path | None = None


class State(StrEnum):
    """Whether a language can be compiled on a machine."""

    READY = "ready"
    PREPARING = "preparing"
    MISSING = "missing"


@dataclass(frozen=True)
class Readiness:
    """The state, and for what is missing the reason, as a sentence for whoever runs the machine."""

    state: State
    reason: str | None = None


def jail_readiness(*, is_native: bool = True) -> Readiness:
    """Whether this machine's jail holds what users wrote: `READY`, or `MISSING` with what it does not hold. What is not
    native code is held already, and only has to be able to run in it.
    """
    if reason := unsound() if is_native else unusable():
        return Readiness(State.MISSING, f"The jail for compilers cannot be trusted on this machine: {reason}.")
    return Readiness(State.READY)


class Toolchain(ABC):
    """One language: its name, its file's extension, its compiler. An instance has no state; threads share it.

    `shared` is the machine's folder of parts, which only the worker can write.
    """

    language: ClassVar[str]
    extension: ClassVar[str]
    is_native: ClassVar[bool] = True
    """Whether a program of native code reads the source: then nothing is compiled without a sound jail."""
    least_memory_mb: ClassVar[int] = 1
    """What an execution needs before it has begun."""

    def __init__(self, limits: JailLimits | None = None) -> None:
        self.limits = limits or JailLimits()

    @property
    def parts(self) -> Sequence[Part]:
        """What `prepare` makes."""
        return ()

    @property
    def source_name(self) -> str:
        """The name that the author's source has in diagnostics."""
        return f"source.{self.extension}"

    @property
    def template(self) -> str:
        """Source text of a function that greets `{"name": …}`: what an author starts from. Empty for binaries."""
        return (_EXAMPLES / self.language / f"greet.{self.extension}").read_text(encoding="utf-8")

    @abstractmethod
    def version(self) -> str:
        """The compiler's version, also where it is not installed."""

    @abstractmethod
    def missing(self) -> str | None:
        """What is not installed on this machine and how to get it, as a sentence; none where nothing is."""

    def shared_module(self, shared: Path) -> SharedModule | None:
        """What all its functions share, once `prepare` has made it; none where each is a module of its own."""
        return None

    @abstractmethod
    def compile(self, source: bytes, *, shared: Path) -> Compiled:
        """Compile one source file in the jail; blocks, at most for the jail's wall clock.

        Raises CompileFailed when the source is at fault, ToolchainMissing or JailError when the machine is.
        """

    def check_parts(self, shared: Path) -> None:
        """Raises ToolchainMissing before what `prepare` makes is there."""
        if not self._is_prepared(shared):
            message = f"the libraries of {self.language} are not built yet"
            raise ToolchainMissing(message)

    def _is_prepared(self, shared: Path) -> bool:
        return all(part.is_made(shared) for part in self.parts)

    def readiness(self, shared: Path) -> Readiness:
        """Whether `compile` can work on this machine now."""
        if reason := self.missing():
            return Readiness(State.MISSING, reason)
        jail = jail_readiness(is_native=self.is_native)
        if jail.state is State.MISSING:
            return jail
        if not self._is_prepared(shared):
            return Readiness(State.PREPARING)
        return Readiness(State.READY)

    def prepare(self, shared: Path) -> None:
        """Build what all compilations share, for seconds or minutes; what is there already takes none."""
        for part in self.parts:
            part.make(shared)
