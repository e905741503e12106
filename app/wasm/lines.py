"""Which place in the author's source an instruction came from.

A compiler leaves that in the module: as DWARF in its `.debug_` sections, or, where its debug information is of another
kind, as a table in a section `kiln.lines`. Both are taken out before native code is made, so that what runs is small;
the table is kept beside it and asked only when a trap is to be explained.

A table is the source's name, a newline, and for each place where the origin changes three numbers of 32 bits,
little-endian: the offset in the module, the line and the column. Line 0 is code that is not the author's.
"""

import re
import struct
from bisect import bisect_right
from collections.abc import Iterable

from app.wasm import dwarf
from app.wasm.sections import split

SECTION = "kiln.lines"
#: What is kept of a source with more places: nothing.
MOST_BYTES = 4 << 20
_CODE = 10
_ROW = struct.Struct("<III")
_MAP_ADDRESS = "sourceMappingURL"
_NAME = re.compile(r"source\.\w{1,8}")


def without_lines(wasm: bytes) -> tuple[bytes, bytes]:
    """The module without what is said of its lines, and the table of them; empty where nothing can be read."""
    kept, debug, table, code_at = [wasm[:8]], {}, b"", None
    size = 8
    for section in split(wasm):
        if section.name == _MAP_ADDRESS:
            continue
        if section.name.startswith(dwarf.PREFIX):
            debug[section.name] = section.content
            continue
        if section.name == SECTION:
            table = section.content
            continue
        if section.kind == _CODE:
            code_at = size + len(section.whole) - len(section.content)
        kept.append(section.whole)
        size += len(section.whole)
    if not table and debug and code_at is not None:
        table = _packed(dwarf.rows(debug), code_at)
    return b"".join(kept), table if len(table) <= MOST_BYTES else b""


def place_of(table: bytes, offsets: Iterable[int]) -> str | None:
    """`source.c:3:9` for the first of these instructions that is the author's."""
    name, _, rows = table.partition(b"\n")
    if not _NAME.fullmatch(name.decode(errors="replace")) or len(rows) % _ROW.size:
        return None
    known = list(_ROW.iter_unpack(rows))
    # The engine tells the first instruction of a function by the byte before it, where the function's locals stand.
    for offset in (offset + more for offset in offsets for more in (0, 1)):
        index = bisect_right(known, (offset, 0xFFFF_FFFF, 0xFFFF_FFFF)) - 1
        if index >= 0 and known[index][1]:
            _, line, column = known[index]
            return f"{name.decode()}:{line}" + (f":{column}" if column else "")
    return None


def _packed(found: tuple[str, list[dwarf.Row]] | None, code_at: int) -> bytes:
    if found is None:
        return b""
    name, rows = found
    written = [name.encode(), b"\n"]
    before: tuple[int, int] | None = None
    for address, line, column in sorted(rows):
        if code_at + address > 0xFFFF_FFFF:
            # Linkers let what they have left out begin at the end of all addresses.
            break
        if (line, column) != before:
            written.append(_ROW.pack(code_at + address, line, column))
            before = line, column
    return b"".join(written)
