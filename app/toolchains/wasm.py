"""WebAssembly binaries, made elsewhere: nothing is compiled, only the first bytes are looked at."""

from pathlib import Path

from app.toolchains.diagnostics import source_failed
from app.toolchains.preamble import fault
from app.toolchains.toolchain import Compiled, Toolchain


class Wasm(Toolchain):
    """Takes the source as the module. It is validated where native code is made from it, in the jail."""

    is_native = False
    language = "wasm"
    extension = "wasm"

    @property
    def template(self) -> str:
        """Nothing: a binary has no source text."""
        return ""

    def version(self) -> str:
        """The version of WebAssembly."""
        return "1"

    def missing(self) -> str | None:
        """Nothing."""
        return None

    def compile(self, source: bytes, *, shared: Path) -> Compiled:
        """The source itself; raises CompileFailed if it is not a module."""
        if message := fault(source):
            raise source_failed(self.source_name, message)
        return Compiled(source, "", self.language, self.version(), (), 0)
