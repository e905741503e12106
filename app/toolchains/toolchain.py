"""What every language offers."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from app.toolchains.jail import JailLimits

_EXAMPLES = Path(__file__).parents[2] / "examples"


@dataclass(frozen=True)
class Compiled:
    """A module and how it came to be. `toolchain`, its version and `flags` are what an equal compilation needs."""

    wasm: bytes
    log: str
    toolchain: str
    toolchain_version: str
    flags: tuple[str, ...]
    duration_ms: int


class Toolchain(ABC):
    """One language: its name, its file's extension, its compiler. An instance has no state; threads share it."""

    language: ClassVar[str]
    extension: ClassVar[str]

    def __init__(self, limits: JailLimits | None = None) -> None:
        self.limits = limits or JailLimits()

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
    def installed(self) -> bool:
        """Whether `compile` can work on this machine."""

    @abstractmethod
    def compile(self, source: bytes) -> Compiled:
        """Compile one source file in the jail; blocks, at most for the jail's wall clock.

        Raises CompileFailed when the source is at fault, ToolchainMissing or JailError when the machine is.
        """
