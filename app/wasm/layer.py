"""What makes a module that many functions share one function's own: what its memory holds beyond the module's data, or
the source that it runs.
"""

import ctypes
from dataclasses import dataclass

import wasmtime
from wasmtime.component import Component

from app.wasm.errors import LayerRefused
from app.wasm.guest import Ended
from app.wasm.outcome import Failure, Verdict

PAGE_BYTES = 65_536
_NUMBER_BYTES = 4


@dataclass(frozen=True, slots=True)
class Layer:
    """Memory of `pages` pages with pieces at their addresses.

    As bytes it is the number of pages, then pieces, each with its address and its length before it; the numbers have 32
    bits, little-endian. A compiler made it of what a user wrote, so it is trusted no more than the guest itself.
    """

    pages: int
    pieces: tuple[tuple[int, bytes], ...]

    @classmethod
    def parse(cls, content: bytes) -> "Layer":
        """Read its bytes; raises `LayerRefused` where a piece would lie outside of the memory."""
        pages = int.from_bytes(content[:_NUMBER_BYTES], "little")
        at, pieces = _NUMBER_BYTES, []
        while at < len(content):
            address = int.from_bytes(content[at : at + 4], "little")
            length = int.from_bytes(content[at + 4 : at + 8], "little")
            piece = content[at + 8 : at + 8 + length]
            if len(piece) != length or address + length > pages * PAGE_BYTES:
                raise LayerRefused
            pieces.append((address, piece))
            at += 8 + length
        return cls(pages, tuple(pieces))

    def lay(self, store: wasmtime.Store, memory: wasmtime.Memory) -> None:
        """Grow the memory and write the pieces; raises `Ended` where the memory may not be as large."""
        more = self.pages - memory.size(store)
        if more > 0:
            try:
                memory.grow(store, more)
            except wasmtime.WasmtimeError as error:
                verdict = Verdict(Failure.OUT_OF_MEMORY, "The function begins with more memory than its limit.")
                raise Ended(verdict) from error
        start = ctypes.addressof(memory.data_ptr(store).contents)
        for address, piece in self.pieces:
            ctypes.memmove(start + address, piece, len(piece))


@dataclass(frozen=True, slots=True)
class Script:
    """A source as an interpreter runs it: `code` is what it has made of `source`.

    As bytes it is the code on a line of its own, and then the source.
    """

    code: str
    source: str

    @classmethod
    def parse(cls, content: bytes) -> "Script":
        """Read its bytes; raises `LayerRefused` where they are none."""
        code, newline, source = content.partition(b"\n")
        try:
            return cls(code.decode("ascii"), (source if newline else b"").decode())
        except UnicodeDecodeError as error:
            raise LayerRefused from error

    def dump(self) -> bytes:
        """Its bytes."""
        return f"{self.code}\n{self.source}".encode()


def read(program: wasmtime.Module | Component, content: bytes) -> Layer | Script:
    """The layer of a function that shares `program`; raises `LayerRefused` where the bytes are none."""
    if isinstance(program, wasmtime.Module):
        return Layer.parse(content)
    return Script.parse(content)
