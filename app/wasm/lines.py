"""Which place in the author's source an instruction came from.

A compiler leaves that in the module: as DWARF in its `.debug_` sections, or, where its debug information is of another
kind, as a table in a section `kiln.lines`. Both are taken out before native code is made, so that what runs is small;
the table is kept beside it and asked only when a trap is to be explained.

A table is the source's name, a newline, and for each place where the origin changes three numbers of 32 bits,
little-endian: the offset in the module, the line and the column. Line 0 is code that is not the author's.
"""

import io
import re
import struct
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Any

from app.wasm.sections import split

SECTION = "kiln.lines"
#: What is kept of a source with more places: nothing.
MOST_BYTES = 4 << 20
_CODE = 10
_ROW = struct.Struct("<III")
_DEBUG = ".debug_"
_NAME = re.compile(r"source\.\w{1,8}")
_SECTIONS = (
    *("info", "aranges", "abbrev", "frame", "eh_frame", "str", "loc", "ranges", "line", "pubtypes", "pubnames", "addr"),
    *("str_offsets", "line_str", "loclists", "rnglists", "sup", "gnu_debugaltlink", "types"),
)

Row = tuple[int, int, int]


def without_lines(wasm: bytes) -> tuple[bytes, bytes]:
    """The module without what is said of its lines, and the table of them; empty where nothing can be read."""
    kept, debug, table, code_at = [wasm[:8]], {}, b"", None
    size = 8
    for section in split(wasm):
        if section.name.startswith(_DEBUG):
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
        table = _packed(_rows(debug), code_at)
    return b"".join(kept), table if len(table) <= MOST_BYTES else b""


def place_of(table: bytes, offsets: Iterable[int]) -> str | None:
    """`source.c:3:9` for the first of these instructions that is the author's."""
    name, _, rows = table.partition(b"\n")
    if not _NAME.fullmatch(name.decode(errors="replace")) or len(rows) % _ROW.size:
        return None
    known = list(_ROW.iter_unpack(rows))
    for offset in offsets:
        index = bisect_right(known, (offset, 0xFFFF_FFFF, 0xFFFF_FFFF)) - 1
        if index >= 0 and known[index][1]:
            _, line, column = known[index]
            return f"{name.decode()}:{line}" + (f":{column}" if column else "")
    return None


def _packed(found: tuple[str, list[Row]] | None, code_at: int) -> bytes:
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


def _rows(debug: dict[str, bytes]) -> tuple[str, list[Row]] | None:
    """The source's name and where its lines begin, counted from the first byte of the code section's content."""
    try:
        found = list(_places(debug))
    except Exception:  # noqa: BLE001 - the debug information is the guest's; whatever is wrong with it, there is none
        return None
    names = [name for name, _ in found if name is not None]
    if not names:
        return None
    return names[0], [row if name == names[0] else (row[0], 0, 0) for name, row in found]


def _places(debug: dict[str, bytes]) -> Iterator[tuple[str | None, Row]]:
    dwarf = _dwarf(debug)
    for unit in dwarf.iter_CUs():
        program = dwarf.line_program_for_CU(unit)
        if program is None:
            continue
        names = [_name(entry) for entry in program.header["file_entry"]]
        first = 0 if program.header["version"] >= 5 else 1
        for entry in program.get_entries():
            state = entry.state
            if state is None:
                continue
            index = state.file - first
            name = names[index] if 0 <= index < len(names) and not state.end_sequence else None
            if name is None:
                yield None, (state.address, 0, 0)
            else:
                yield name, (state.address, state.line, state.column)


def _name(entry: Any) -> str | None:
    """The file's name if it is the author's."""
    name = entry.name.decode(errors="replace").rpartition("/")[2]
    return name if _NAME.fullmatch(name) else None


def _dwarf(debug: dict[str, bytes]) -> Any:
    from elftools.dwarf.dwarfinfo import DebugSectionDescriptor, DwarfConfig, DWARFInfo  # noqa: PLC0415 - takes 20 ms

    def section(short: str) -> Any:
        name = _DEBUG + short
        content = debug.get(name)
        return None if content is None else DebugSectionDescriptor(io.BytesIO(content), name, 0, len(content), 0)

    return DWARFInfo(DwarfConfig(little_endian=True, machine_arch="", default_address_size=4), *map(section, _SECTIONS))
