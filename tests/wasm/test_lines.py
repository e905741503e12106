"""Which place in the source an instruction came from, as modules say it."""

import struct

import pytest
import wasmtime

from app.wasm.lines import place_of, without_lines
from tests.wasm.modules import ECHO

WASM = bytes(wasmtime.wat2wasm(ECHO))


def section(name: str, content: bytes) -> bytes:
    body = bytes([len(name)]) + name.encode() + content
    assert len(body) < 128
    return bytes([0, len(body)]) + body


def table(*rows: tuple[int, int, int], name: str = "source.c") -> bytes:
    return f"{name}\n".encode() + b"".join(struct.pack("<III", *row) for row in rows)


TABLE = table((10, 3, 5), (20, 0, 0), (30, 7, 0))


def test_a_table_is_taken_out_of_the_module() -> None:
    assert without_lines(WASM + section("kiln.lines", TABLE)) == (WASM, TABLE)


def test_other_sections_stay_where_they_are() -> None:
    with_name = WASM + section("name", b"") + section("producers", b"clang")
    assert without_lines(with_name) == (with_name, b"")


def test_debug_information_that_cannot_be_read_is_none() -> None:
    spoilt = section(".debug_info", b"\xff" * 40) + section(".debug_line", b"\x01" * 40)
    assert without_lines(WASM + spoilt) == (WASM, b"")


@pytest.mark.parametrize(
    ("offset", "place"),
    [
        (8, None),
        (9, "source.c:3:5"),
        (19, "source.c:3:5"),
        (20, None),
        (28, None),
        (30, "source.c:7"),
        (9999, "source.c:7"),
    ],
)
def test_an_instruction_has_the_place_that_began_before_it(offset: int, place: str | None) -> None:
    assert place_of(TABLE, [offset]) == place


def test_the_innermost_call_of_the_authors_is_told() -> None:
    assert place_of(TABLE, [25, 5, 15, 31]) == "source.c:3:5"


@pytest.mark.parametrize(
    "spoilt",
    [b"", b"source.c", b"source.c\n1", TABLE[:-1], table((10, 3, 5), name="/etc/passwd"), b"\xff.c\n" + bytes(12)],
)
def test_a_table_that_cannot_be_read_tells_nothing(spoilt: bytes) -> None:
    assert place_of(spoilt, [15]) is None
