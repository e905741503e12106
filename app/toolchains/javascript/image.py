"""The program in the jail that lets QuickJS read JavaScript and keeps what its memory then holds.

    image.py engine ENGINE.wasm PRELUDE.js      # writes base.wasm, which has read the prelude, and base.cwasm
    image.py function BASE.cwasm NAME SCRIPT MAP    # reads a script that came of NAME by a source map, writes layer.bin

Clocks stand still meanwhile and chance is none, so that a source always makes the same layer. A source that fails ends
it with 3 and the reason on standard error; what the source prints goes to log.txt.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import wasmtime

REFUSED: Final = 3
PAGE_BYTES: Final = 65_536
#: The lowest addresses are the stack, of which nothing is kept.
STACK_BYTES: Final = 1 << 20
MEMORY_BYTES: Final = 256 << 20
MOST_LOG_BYTES: Final = 65_536
#: Fewer equal bytes between two differences cost less than a piece of their own.
_GAP_BYTES = 32
_PREAMBLE_BYTES = 8
_BLOCK_BYTES = 4096

_EXPORT, _MEMORY, _DATA_COUNT, _DATA = 7, 5, 12, 11


@dataclass(frozen=True)
class Section:
    """One section of a module."""

    kind: int
    body: bytes


def sections(wasm: bytes) -> Iterator[Section]:
    """The sections of a module that is known to be well-formed."""
    at = _PREAMBLE_BYTES
    while at < len(wasm):
        kind = wasm[at]
        length, at = _number(wasm, at + 1)
        yield Section(kind, wasm[at : at + length])
        at += length


def baked(wasm: bytes, memory: bytes) -> bytes:
    """A module like this one whose memory begins as `memory`, which has no start to run any more."""
    data = [(at, memory[at:end]) for at, end in differences(bytes(len(memory)), memory)]
    pages = _unsigned(len(memory) // PAGE_BYTES)
    replaced = {
        # One memory, without a maximum.
        _MEMORY: b"\x01\x00" + pages,
        _DATA: _unsigned(len(data)) + b"".join(_segment(at, piece) for at, piece in data),
    }
    done = (b"_initialize", b"start")
    written = [wasm[:_PREAMBLE_BYTES]]
    for section in sections(wasm):
        if section.kind != _DATA_COUNT:
            body = replaced.get(section.kind, section.body)
            if section.kind == _EXPORT:
                body = _without(body, done)
            written.append(bytes([section.kind]) + _unsigned(len(body)) + body)
    return b"".join(written)


def layer(before: bytes, after: bytes) -> bytes:
    """What turns one memory into the other, in the runtime's format: the number of pages, then pieces, each with its
    address and its length; numbers have 32 bits, little-endian.
    """
    same_size = before.ljust(len(after), b"\0")
    written = [_u32(len(after) // PAGE_BYTES)]
    for at, end in differences(same_size, after):
        written += [_u32(at), _u32(end - at), after[at:end]]
    return b"".join(written)


def differences(one: bytes, other: bytes) -> Iterator[tuple[int, int]]:
    """Where two texts of the same length differ, from and to; nearby places are taken together."""
    start = end = None
    for block in range(0, len(other), _BLOCK_BYTES):
        ours, theirs = one[block : block + _BLOCK_BYTES], other[block : block + _BLOCK_BYTES]
        if ours == theirs:
            continue
        for offset in range(len(theirs)):
            if ours[offset] != theirs[offset]:
                at = block + offset
                if end is not None and at - end < _GAP_BYTES:
                    end = at + 1
                    continue
                if start is not None and end is not None:
                    yield start, end
                start, end = at, at + 1
    if start is not None and end is not None:
        yield start, end


def _without(exports: bytes, names: Sequence[bytes]) -> bytes:
    """An export section without some names."""
    count, at = _number(exports, 0)
    kept = []
    for _ in range(count):
        start = at
        length, at = _number(exports, at)
        name = exports[at : at + length]
        _index, at = _number(exports, at + length + 1)
        if name not in names:
            kept.append(exports[start:at])
    return _unsigned(len(kept)) + b"".join(kept)


def _segment(at: int, piece: bytes) -> bytes:
    """An active segment of memory 0 at a constant address."""
    return b"\x00\x41" + _signed(at) + b"\x0b" + _unsigned(len(piece)) + piece


def _number(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _unsigned(value: int, *, sign: int = 0x80) -> bytes:
    """LEB128 of a number that is not negative; `sign` is the bit that the last byte must leave free."""
    written = bytearray()
    while value >= sign:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)


def _signed(value: int) -> bytes:
    """The same in signed LEB128, whose last byte has the sign in its seventh bit."""
    return _unsigned(value, sign=0x40)


def _u32(value: int) -> bytes:
    return value.to_bytes(4, "little")


HostCall = Callable[..., int | None]


class Failed(Exception):
    """The source said `fail`."""


class Instance:
    """A running engine."""

    def __init__(self, engine: wasmtime.Engine, module: wasmtime.Module) -> None:
        self._store = wasmtime.Store(engine)
        self._store.set_limits(memory_size=MEMORY_BYTES)
        self.log = bytearray()
        self._exports = self._linker(engine, module).instantiate(self._store, module).exports(self._store)

    def call(self, name: str, *parameters: int) -> int:
        """Call one of its functions; raises Failed."""
        result: int | None = cast("wasmtime.Func", self._exports[name])(self._store, *parameters)
        return result or 0

    def put(self, content: bytes) -> int:
        """Allocate and write; `alloc` adds the zero byte."""
        at = self.call("alloc", len(content))
        self._memory.write(self._store, content, at)
        return at

    def memory(self) -> bytes:
        """All of it, with the stack's part empty."""
        return bytes(STACK_BYTES) + bytes(self._memory.read(self._store, STACK_BYTES))

    @property
    def _memory(self) -> wasmtime.Memory:
        return cast("wasmtime.Memory", self._exports["memory"])

    def _linker(self, engine: wasmtime.Engine, module: wasmtime.Module) -> wasmtime.Linker:
        linker = wasmtime.Linker(engine)
        own: Mapping[tuple[str, str], HostCall] = {("kiln", "fail"): self._fail, ("kiln", "log"): self._write}
        for wanted in module.imports:
            kind = cast("wasmtime.FuncType", wanted.type)
            nothing = _zero if kind.results else _nothing
            call = own.get((wanted.module, wanted.name or ""), nothing)
            linker.define_func(wanted.module, wanted.name or "", kind, call)
        return linker

    def _text(self, at: int, length: int) -> bytes:
        return bytes(self._memory.read(self._store, at & 0xFFFF_FFFF, (at & 0xFFFF_FFFF) + (length & 0xFFFF_FFFF)))

    def _fail(self, at: int, length: int) -> None:
        raise Failed(self._text(at, length).decode(errors="replace"))

    def _write(self, _level: int, at: int, length: int) -> None:
        if len(self.log) < MOST_LOG_BYTES:
            self.log += self._text(at, length) + b"\n"


def _zero(*_parameters: int) -> int:
    """What the host answers to all else: success, and nothing written."""
    return 0


def _nothing(*_parameters: int) -> None:
    """The same where no answer is wanted."""


def _engine() -> wasmtime.Engine:
    config = wasmtime.Config()
    config.parallel_compilation = False
    return wasmtime.Engine(config)


def make_base(wasm: bytes, prelude: bytes) -> None:
    """Once for each machine."""
    engine = _engine()
    instance = Instance(engine, wasmtime.Module(engine, wasm))
    instance.call("_initialize")
    instance.call("start", instance.put(prelude), len(prelude))
    base = baked(wasm, instance.memory())
    Path("base.wasm").write_bytes(base)
    Path("base.cwasm").write_bytes(bytes(wasmtime.Module(engine, base).serialize()))


def make_layer(base: Path, name: str, script: bytes, source_map: bytes) -> None:
    """Once for each function."""
    engine = _engine()
    instance = Instance(engine, wasmtime.Module.deserialize_file(engine, str(base)))
    before = instance.memory()
    try:
        texts = instance.put(script), len(script), instance.put(name.encode()), instance.put(source_map)
        instance.call("prepare", *texts)
    finally:
        Path("log.txt").write_bytes(instance.log)
    Path("layer.bin").write_bytes(layer(before, instance.memory()))


def _reason(error: Exception) -> str:
    if isinstance(error, wasmtime.Trap) and error.trap_code is wasmtime.TrapCode.STACK_OVERFLOW:
        return "the source nests or recurses too deeply"
    return str(error)[:MOST_LOG_BYTES]


def main(arguments: list[str]) -> int:
    """Do the one or the other."""
    match arguments:
        case ["engine", wasm, prelude]:
            make_base(Path(wasm).read_bytes(), Path(prelude).read_bytes())
        case ["function", base, name, script, source_map]:
            try:
                make_layer(
                    Path(base), name, Path(script).read_bytes(), Path(source_map).read_bytes() if source_map else b""
                )
            except (Failed, wasmtime.Trap, wasmtime.WasmtimeError) as error:
                sys.stderr.write(_reason(error))
                return REFUSED
        case _:
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
