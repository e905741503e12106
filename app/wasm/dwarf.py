"""Reads which lines instructions came from out of DWARF, the debug information of compilers for native code.

Addresses are counted from the first byte of the code section's content. pyelftools reads the tables; which of their
rows are the author's is decided here.
"""

import io
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

PREFIX = ".debug_"
#: Reading takes a second for each megabyte or two, so of large modules nothing is read.
MOST_BYTES = 8 << 20
#: In the order in which pyelftools wants them.
_SECTIONS = (
    *("info", "aranges", "abbrev", "frame", "eh_frame", "str", "loc", "ranges", "line", "pubtypes", "pubnames", "addr"),
    *("str_offsets", "line_str", "loclists", "rnglists", "sup", "gnu_debugaltlink", "types"),
)
_NAME = re.compile(r"source\.\w{1,8}")
_FUNCTION_ATTRIBUTES = ("DW_AT_low_pc", "DW_AT_high_pc", "DW_AT_decl_file", "DW_AT_decl_line")
_FUNCTION = frozenset(_FUNCTION_ATTRIBUTES)

Row = tuple[int, int, int]


def rows(debug: Mapping[str, bytes]) -> tuple[str, list[Row]] | None:
    """The source's name, and addresses with their lines and columns; None where nothing can be read."""
    if sum(map(len, debug.values())) > MOST_BYTES:
        return None
    try:
        found = list(_places(debug))
    except Exception:  # noqa: BLE001 - the debug information is the guest's; whatever is wrong with it, there is none
        return None
    names = [name for name, _ in found if name is not None]
    if not names:
        return None
    return names[0], [row if name == names[0] else (row[0], 0, 0) for name, row in found]


def _places(debug: Mapping[str, bytes]) -> Iterator[tuple[str | None, Row]]:
    dwarf = _read(debug)
    for unit in dwarf.iter_CUs():
        program = dwarf.line_program_for_CU(unit)
        if program is None:
            continue
        names = [_name(entry) for entry in program.header["file_entry"]]
        first = 0 if program.header["version"] >= 5 else 1
        calls = [call for call in _calls(dwarf, unit, first) if 0 <= call.file < len(names) and names[call.file]]
        functions = sorted(_functions(unit, names, first))
        begins = True
        for entry in program.get_entries():
            state = entry.state
            if state is None:
                continue
            index = state.file - first
            name = names[index] if 0 <= index < len(names) and not state.end_sequence else None
            call = next((call for call in calls if call.begin <= state.address < call.end), None)
            if name is not None and state.line == 0:
                yield name, (state.address, _line_of_function(functions, state.address), 0)
            elif name is not None:
                yield name, (state.address, state.line, state.column)
            elif call is not None and not state.end_sequence:
                yield names[call.file], (state.address, call.line, call.column)
            elif begins or state.end_sequence:
                yield None, (state.address, 0, 0)
            # What is nobody's within a function belongs to the line that stands before it.
            begins = state.end_sequence


def _functions(unit: Any, names: list[str | None], first: int) -> Iterator[tuple[int, int, int]]:
    """The author's functions: their first instruction, the one after their last, and their line.

    What an optimiser has made of several lines has none, and then this is the nearest that is known.
    """
    for entry in unit.get_top_DIE().iter_children():
        known = entry.attributes
        if entry.tag != "DW_TAG_subprogram" or not _FUNCTION.issubset(known):
            continue
        start, end, file, line = (known[name].value for name in _FUNCTION_ATTRIBUTES)
        if 0 <= file - first < len(names) and names[file - first] is not None:
            is_length = known["DW_AT_high_pc"].form != "DW_FORM_addr"
            yield start, start + end if is_length else end, line


def _line_of_function(functions: list[tuple[int, int, int]], address: int) -> int:
    index = bisect_right(functions, (address, 0xFFFF_FFFF, 0)) - 1
    if index < 0:
        return 0
    start, end, line = functions[index]
    return line if start <= address < end else 0


@dataclass(frozen=True)
class _Call:
    """What was inlined where something was called: instructions of another file that are the caller's doing."""

    begin: int
    end: int
    file: int
    line: int
    column: int


def _calls(dwarf: Any, unit: Any, first: int) -> list[_Call]:
    """The innermost first."""
    found = []
    for die in unit.iter_DIEs():
        if die.tag == "DW_TAG_inlined_subroutine" and "DW_AT_call_line" in die.attributes:
            place = [_attribute(die, f"DW_AT_call_{part}", 0) for part in ("file", "line", "column")]
            found += [_Call(begin, end, place[0] - first, *place[1:]) for begin, end in _ranges(dwarf, unit, die)]
    return found[::-1]


def _ranges(dwarf: Any, unit: Any, die: Any) -> Iterator[tuple[int, int]]:
    """Where its instructions are."""
    if "DW_AT_low_pc" in die.attributes:
        begin = _attribute(die, "DW_AT_low_pc", 0)
        yield begin, begin + _attribute(die, "DW_AT_high_pc", 0)
    elif "DW_AT_ranges" in die.attributes:
        base = _attribute(unit.get_top_DIE(), "DW_AT_low_pc", 0)
        for entry in dwarf.range_lists().get_range_list_at_offset(_attribute(die, "DW_AT_ranges", 0), cu=unit):
            if hasattr(entry, "base_address"):
                base = entry.base_address
            else:
                start = 0 if entry.is_absolute else base
                yield start + entry.begin_offset, start + entry.end_offset


def _attribute(die: Any, name: str, otherwise: int) -> int:
    attribute = die.attributes.get(name)
    return otherwise if attribute is None else int(attribute.value)


def _name(entry: Any) -> str | None:
    """The file's name if it is the author's."""
    name = entry.name.decode(errors="replace").rpartition("/")[2]
    return name if _NAME.fullmatch(name) else None


def _read(debug: Mapping[str, bytes]) -> Any:
    from elftools.dwarf.dwarfinfo import DebugSectionDescriptor, DwarfConfig, DWARFInfo  # noqa: PLC0415 - takes 20 ms

    def section(short: str) -> Any:
        name = PREFIX + short
        content = debug.get(name)
        return None if content is None else DebugSectionDescriptor(io.BytesIO(content), name, 0, len(content), 0)

    return DWARFInfo(DwarfConfig(little_endian=True, machine_arch="", default_address_size=4), *map(section, _SECTIONS))
