"""The child program of the Python toolchain, for its jail.

    native python.wasm      # compiles the component, writes python.cwasm
    check python.cwasm      # reads a source from standard input

A source that cannot be run ends it with 3 and `line:column: message` on standard error.
"""

import sys
from pathlib import Path
from typing import Final

from wasmtime.component import Component

from app.wasm.limits import MIB, Limits
from app.wasm.native import load, precompile_component
from app.wasm.run import check

REFUSED: Final = 3

_LIMITS = Limits(timeout_ms=10_000, memory_bytes=256 * MIB)


def main(arguments: list[str]) -> int:
    """Do what the first argument says to the file that the second names."""
    deed, name = arguments
    if deed == "native":
        native, _ = precompile_component(Path(name).read_bytes())
        Path("python.cwasm").write_bytes(native)
        return 0
    fault = _fault(Path(name), sys.stdin.buffer.read())
    sys.stderr.buffer.write(fault.encode(errors="replace"))
    return REFUSED if fault else 0


def _fault(path: Path, source: bytes) -> str:
    component = load(path)
    if not isinstance(component, Component):
        message = f"{path} is no component"
        raise TypeError(message)
    try:
        text = source.decode()
    except UnicodeDecodeError as error:
        line = source.count(b"\n", 0, error.start) + 1
        return f"{line}:1: the source is not UTF-8"
    outcome = check(component, text, limits=_LIMITS)
    return f"1:1: {outcome.message}" if outcome.output is None else outcome.output
