"""The child program that makes native code: wasm (or, with `--wat`, its text) in, one header line and the bytes out.

Whoever starts `COMMAND` puts it in a jail with limits; it needs no file beyond the interpreter's own. Standard output
is one line of JSON, then the wasm, then the native code, then the table of its lines:

    {"ok": true, "shape": "MEMORY_ABI", "configuration": "…", "wasm_bytes": 120, "native_bytes": 9000, "lines_bytes": 0}
    {"ok": false, "error": "source.wat:3:5: unknown operator or unexpected token"}

With `--component` it takes a component, and nothing else. That is only said of what a toolchain has built of its own.
"""

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import wasmtime

from app.wasm.engine import configuration_key
from app.wasm.errors import ModuleRefused, PrecompileFailed, WasmError
from app.wasm.native import Made, precompile, precompile_component
from app.wasm.outcome import plain
from app.wasm.shapes import Shape

_ROOT = Path(__file__).resolve().parents[2]
# The package `app` is given as a bare name: importing the application would cost the jail time and memory.
_PROGRAM = f"""
import sys, types
app = types.ModuleType("app")
app.__path__ = [{str(_ROOT / "app")!r}]
sys.modules["app"] = app
from app.wasm.precompile import main
sys.exit(main(sys.argv[1:]))
"""

COMMAND: tuple[str, ...] = (sys.executable, "-I", "-B", "-c", _PROGRAM)

#: What the child reads.
READABLE: tuple[Path, ...] = (Path(sys.prefix), Path(sys.base_prefix), _ROOT / "app")

_HEADER_BYTES = 32_768
_PLACE = re.compile(r"^\s*--> <anon>:(\d+):(\d+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Precompiled:
    """A module without what it said of its lines, its native code for the target that `configuration` names, and the
    table of its lines (see `lines`).
    """

    wasm: bytes
    native: bytes
    lines: bytes
    shape: Shape
    configuration: str


def main(arguments: list[str]) -> int:
    """Reads a module from standard input and answers on standard output; 1 where it was refused."""
    given = sys.stdin.buffer.read()
    try:
        made = precompile_component(given) if "--component" in arguments else _made(given, is_text="--wat" in arguments)
        header, body = _answer(made)
    except MemoryError:
        header, body = _refused("The module needs more memory to compile than is allowed."), b""
    except WasmError as error:
        header, body = _refused(str(error)), b""
    sys.stdout.buffer.write(json.dumps(header).encode() + b"\n" + body)
    sys.stdout.buffer.flush()
    return 0 if header["ok"] else 1


def _made(given: bytes, *, is_text: bool) -> Made:
    wasm = wasm_of_text(given) if is_text else given
    try:
        return precompile(wasm)
    except WasmError as error:
        # The binary has lost the lines of its text, so what is wrong with it is said of the whole.
        raise ModuleRefused(f"source.wat:1:1: {error}" if is_text else str(error)) from error


def _answer(made: Made) -> tuple[dict[str, Any], bytes]:
    header = {
        "ok": True,
        "shape": made.shape,
        "configuration": _configuration(),
        "wasm_bytes": len(made.wasm),
        "native_bytes": len(made.native),
        "lines_bytes": len(made.lines),
    }
    return header, made.wasm + made.native + made.lines


def _refused(message: str) -> dict[str, Any]:
    return {"ok": False, "error": plain(message)}


def _configuration() -> str | None:
    try:
        return configuration_key()
    except OSError:
        # A jail without /proc hides the processor; whoever started it knows on which machine it ran.
        return None


def wasm_of_text(text: bytes) -> bytes:
    """The binary of a module's text; raises `ModuleRefused` with `source.wat:line:column: message`."""
    try:
        return bytes(wasmtime.wat2wasm(text))
    except wasmtime.WasmtimeError as error:
        message = str(error)
        place = _PLACE.search(message)
        where = f"{place.group(1)}:{place.group(2)}" if place else "1:1"
        message = f"source.wat:{where}: {message.strip().splitlines()[0]}"
        raise ModuleRefused(message) from error


def parse_reply(stdout: bytes) -> Precompiled:
    """What the child made; raises `PrecompileFailed` with its error, or because it died or wrote something else."""
    line, newline, body = stdout.partition(b"\n")
    if not newline or len(line) > _HEADER_BYTES:
        raise PrecompileFailed
    try:
        header = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise PrecompileFailed("The compiler's answer cannot be read.") from error
    if not isinstance(header, dict):
        raise PrecompileFailed("The compiler's answer cannot be read.")
    if header.get("ok") is not True:
        raise PrecompileFailed(plain(str(header.get("error") or "The compiler refused the module.")))
    return _precompiled(header, body)


def _precompiled(header: dict[str, Any], body: bytes) -> Precompiled:
    parts = _parts(body, [header.get("wasm_bytes"), header.get("native_bytes"), header.get("lines_bytes")])
    if parts is None or not parts[0] or not parts[1]:
        raise PrecompileFailed("The compiler's answer was cut.")
    try:
        shape = Shape(str(header.get("shape")))
    except ValueError as error:
        raise PrecompileFailed("The compiler's answer names no known shape.") from error
    if header.get("configuration", configuration_key()) not in [None, configuration_key()]:
        raise PrecompileFailed("The compiler's native code is for another machine or engine.")
    wasm, native, lines = parts
    return Precompiled(wasm, native, lines, shape, configuration_key())


def _parts(body: bytes, sizes: Sequence[object]) -> list[bytes] | None:
    """The body cut into pieces of these sizes; None where they are no sizes, or not these."""
    parts, at = [], 0
    for size in sizes:
        if not isinstance(size, int) or size < 0:
            return None
        parts.append(body[at : at + size])
        at += size
    return parts if at == len(body) else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
