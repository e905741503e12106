"""The child program of the Python toolchain, for its jail.

    native python.wasm         # compiles the component, writes python.cwasm
    translate python.cwasm     # reads a source from standard input, writes layer.bin

A source that cannot be run ends it with 3 and `line:column: message` on standard error.
"""

import sys
from pathlib import Path
from typing import Final

from wasmtime.component import Component

from app.wasm.errors import ModuleRefused
from app.wasm.layer import Script
from app.wasm.limits import MIB, Limits
from app.wasm.native import load, precompile_component
from app.wasm.run import translate

REFUSED: Final = 3

_LIMITS = Limits(timeout_ms=10_000, memory_bytes=256 * MIB)


def main(arguments: list[str]) -> int:
    """Do what the first argument says to the file that the second names."""
    deed, name = arguments
    if deed == "native":
        native = precompile_component(Path(name).read_bytes()).native
        Path("python.cwasm").write_bytes(native)
        return 0
    try:
        script = _script(Path(name), sys.stdin.buffer.read())
    except ModuleRefused as refused:
        sys.stderr.buffer.write(str(refused).encode(errors="replace"))
        return REFUSED
    Path("layer.bin").write_bytes(script.dump())
    return 0


def _script(path: Path, source: bytes) -> Script:
    component = load(path)
    if not isinstance(component, Component):
        message = f"{path} is no component"
        raise TypeError(message)
    try:
        text = source.decode()
    except UnicodeDecodeError as error:
        line = source.count(b"\n", 0, error.start) + 1
        message = f"{line}:1: the source is not UTF-8"
        raise ModuleRefused(message) from error
    outcome = translate(component, text, limits=_LIMITS)
    if outcome.output is None:
        message = outcome.message or ""
        raise ModuleRefused(message if message[:1].isdigit() else f"1:1: {message}")
    return Script(outcome.output, text)
