"""WebAssembly text, assembled by wasmtime's `wat2wasm` in the jail."""

import re
import sys
from codecs import BOM_UTF8
from functools import cache
from importlib.metadata import version
from pathlib import Path

from app.toolchains.diagnostics import MAX_BYTES, readable, source_failed, unfinished
from app.toolchains.errors import CompileFailed
from app.toolchains.jail import JailResult, run
from app.toolchains.preamble import fault
from app.toolchains.toolchain import Compiled, Toolchain

_REFUSED = 3
_ASSEMBLE = f"""
import sys, wasmtime
source = sys.stdin.buffer.read()
try:
    module = wasmtime.wat2wasm(source)
except (wasmtime.WasmtimeError, UnicodeDecodeError) as error:
    sys.stderr.write(str(error)[:{MAX_BYTES}])
    sys.exit({_REFUSED})
with open("module.wasm", "wb") as file:
    file.write(module)
"""
_PLACE = re.compile(r"\s+(?:-->|at) <anon>:(\d+):(\d+)\s*$", re.MULTILINE)


@cache
def _version() -> str:
    return version("wasmtime")


class Wat(Toolchain):
    """The text format. Its author exports one of the shapes that the runtime accepts."""

    is_native = False
    language = "wat"
    extension = "wat"

    def version(self) -> str:
        """The version of wasmtime, which brings the assembler."""
        return _version()

    def missing(self) -> str | None:
        """Nothing: the assembler is part of the runtime."""
        return None

    def compile(self, source: bytes, *, shared: Path) -> Compiled:
        """Assemble one module."""
        if not source.strip():
            raise source_failed(self.source_name, "the source is empty")
        source = source.removeprefix(BOM_UTF8)
        result = run(
            [sys.executable, "-I", "-c", _ASSEMBLE],
            stdin=source,
            outputs=["module.wasm"],
            readable=[Path(sys.prefix), Path(sys.base_prefix)],
            limits=self.limits,
        )
        wasm = result.outputs.get("module.wasm")
        if result.returncode != 0 or wasm is None:
            raise self._failure(result)
        if message := fault(wasm):
            raise source_failed(self.source_name, message)
        return Compiled(wasm, readable(result.stderr), "wasmtime wat2wasm", self.version(), (), result.duration_ms)

    def _failure(self, result: JailResult) -> CompileFailed:
        if result.returncode != _REFUSED:
            return unfinished(result, self.limits, self.source_name)
        said = readable(result.stderr)
        place = _PLACE.search(said)
        line, column = place.groups() if place else ("1", "1")
        message = " ".join(said[: place.start() if place else None].split())
        return CompileFailed(f"{self.source_name}:{line}:{column}: {message}", said.replace("<anon>", self.source_name))
