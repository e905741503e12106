"""Bounds a module by its section headers, before the compiler sees it.

The size of a module does not bound what compiling it costs: 3.6 MB of empty functions took the compiler 4.7 GB. This
reads only the counts and sizes that the cost follows; whether the module is valid is for the engine to say.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from app.wasm.errors import ModuleRefused
from app.wasm.limits import MEMORIES, MIB, TABLES

_MAGIC = b"\0asm"
_CORE_VERSION = b"\x01\0\0\0"
_COMPONENT_VERSION = b"\x0d\0\x01\0"
_CUSTOM = 0
_CODE = 10
_PREAMBLE_BYTES = 8


@dataclass(frozen=True, slots=True)
class Bounds:
    """The largest module that is compiled; `locals` and `function_bytes` are for each function."""

    wasm_bytes: int = 16 * MIB
    types: int = 10_000
    imports: int = 1_000
    functions: int = 20_000
    tables: int = TABLES
    memories: int = MEMORIES
    globals: int = 20_000
    exports: int = 10_000
    element_segments: int = 20_000
    data_segments: int = 50_000
    function_bytes: int = 2 * MIB
    locals: int = 10_000


# The field of `Bounds` for each section that begins with a count.
_COUNTED = {
    1: "types",
    2: "imports",
    3: "functions",
    4: "tables",
    5: "memories",
    6: "globals",
    7: "exports",
    9: "element_segments",
    10: "functions",
    11: "data_segments",
}


@dataclass(frozen=True, slots=True)
class Section:
    """One section of a module: its kind, the name that only custom sections have, what it holds beyond that, and all
    its bytes.
    """

    kind: int
    name: str
    content: bytes
    whole: bytes


class _Reader:
    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._at = 0

    @property
    def at(self) -> int:
        return self._at

    def rest(self) -> bytes:
        return bytes(self._data[self._at :])

    @property
    def is_done(self) -> bool:
        return self._at >= len(self._data)

    def byte(self) -> int:
        if self.is_done:
            raise ModuleRefused("The module ends in the middle of a section.")
        value = self._data[self._at]
        self._at += 1
        return value

    def number(self) -> int:
        """An unsigned LEB128 number of at most 32 bits."""
        value = 0
        for shift in range(0, 35, 7):
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise ModuleRefused("The module holds a number of more than 32 bits where a size stands.")

    def part(self, length: int) -> "_Reader":
        end = self._at + length
        if end > len(self._data):
            raise ModuleRefused("The module ends in the middle of a section.")
        part = _Reader(self._data[self._at : end])
        self._at = end
        return part


def split(wasm: bytes) -> Iterator[Section]:
    """The sections of a core module, in their order; raises `ModuleRefused` where one is cut."""
    reader = _Reader(memoryview(wasm)[_PREAMBLE_BYTES:])
    while not reader.is_done:
        start = reader.at
        kind = reader.byte()
        body = reader.part(reader.number())
        name = body.part(body.number()).rest().decode(errors="replace") if kind == _CUSTOM else ""
        whole = wasm[_PREAMBLE_BYTES + start : _PREAMBLE_BYTES + reader.at]
        yield Section(kind, name, body.rest(), whole)


def is_component(wasm: bytes) -> bool:
    """Whether it begins as a component and not as a module."""
    return wasm[:8] == _MAGIC + _COMPONENT_VERSION


def check_bounds(wasm: bytes, bounds: Bounds) -> None:
    """Raises `ModuleRefused` where `wasm` is no core module or passes `bounds`."""
    _bound("The module", len(wasm), bounds.wasm_bytes, "bytes")
    if wasm[:4] != _MAGIC:
        raise ModuleRefused("This is not a WebAssembly module: it does not begin with \\0asm.")
    if wasm[4:8] != _CORE_VERSION:
        raise ModuleRefused("Only core WebAssembly modules of version 1 run here, not components.")
    reader = _Reader(memoryview(wasm)[_PREAMBLE_BYTES:])
    while not reader.is_done:
        section = reader.byte()
        body = reader.part(reader.number())
        if section in _COUNTED:
            _check_section(section, body, bounds)


def _check_section(section: int, body: _Reader, bounds: Bounds) -> None:
    name = _COUNTED[section]
    count = body.number()
    _bound("The module", count, getattr(bounds, name), name.replace("_", " "))
    if section == _CODE:
        for index in range(count):
            _check_function(f"Function {index}", body, bounds)


def _check_function(name: str, code: _Reader, bounds: Bounds) -> None:
    length = code.number()
    _bound(name, length, bounds.function_bytes, "bytes")
    body, total = code.part(length), 0
    for _ in range(body.number()):
        total += body.number()
        body.byte()
        _bound(name, total, bounds.locals, "locals")


def _bound(what: str, count: int, most: int, unit: str) -> None:
    if count > most:
        message = f"{what} has {count} {unit}; at most {most} are allowed."
        raise ModuleRefused(message)
