"""Hostile sources that are too large for a file, or no text."""

from codecs import BOM_UTF8
from collections.abc import Iterable, Sequence

import wasmtime

#: The largest source that is accepted unless an operator allows more.
LARGEST = 256 << 10

Made = tuple[str, str, bytes]

ECHO = {
    "assemblyscript": b"export function handle(input: string): string { return input; }",
    "c": b"char *handle(const char *input) { return (char *)input; }",
    "cpp": b"#include <string>\nstd::string handle(const std::string &input) { return input; }",
    "go": b"package main\n\nfunc Handle(input int) (any, error) { return input, nil }",
    "javascript": b"export default (input) => input;",
    "python": b"def handle(input, context): return input",
    "rust": b"pub fn handle(input: u8) -> u8 { input }",
    "typescript": b"export default (input: unknown): unknown => input;",
    "zig": b'pub fn handle(_: @import("std").mem.Allocator, input: []const u8) ![]const u8 {\n    return input;\n}',
}


def _deep(before: bytes, opening: bytes, middle: bytes, closing: bytes, after: bytes) -> bytes:
    """As deeply nested as fits."""
    times = (LARGEST - len(before + middle + after)) // len(opening + closing)
    return before + opening * times + middle + closing * times + after


def _windows(language: str) -> Made:
    """A byte order mark, and lines that end as on Windows."""
    return "windows", "compiles", BOM_UTF8 + ECHO[language].replace(b"\n", b"\r\n") + b"\r\n"


def _number(value: int) -> bytes:
    """As WebAssembly has it (unsigned LEB128)."""
    return bytes([value & 127 | 128]) + _number(value >> 7) if value > 127 else bytes([value])


def _section(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + _number(len(body)) + body


def _list(items: Sequence[bytes]) -> bytes:
    return _number(len(items)) + b"".join(items)


def _custom(name: bytes, content: bytes) -> bytes:
    return _section(0, _number(len(name)) + name + content)


_MODULE = b"\0asm\x01\0\0\0"
_WHOLE = bytes(
    wasmtime.wat2wasm("""(module (memory (export "memory") 1)
      (func (export "alloc") (param i32) (result i32) (i32.const 1024))
      (func (export "handle") (param i32 i32) (result i64) (i64.const 0)))""")
)


def _functions(bodies: Iterable[bytes]) -> bytes:
    """A module of functions without parameters."""
    code = [_number(len(body)) + body for body in bodies]
    types, functions = _section(1, b"\x01\x60\0\0"), _section(3, _list([b"\0"] * len(code)))
    return _MODULE + types + functions + _section(10, _list(code))


def _blocks(depth: int) -> bytes:
    return _functions([b"\0" + b"\x02\x40" * depth + b"\x0b" * depth + b"\x0b"])


def _branches(count: int) -> bytes:
    """A table of branches, all to the same place."""
    return _functions([b"\0\x41\0\x0e" + _list([b"\0"] * count) + b"\0\x0b"])


_LINE_PROGRAM = b"\x04\0\0\0" * 60_000

_WASM: tuple[Made, ...] = (
    ("empty", "refused: source.wasm:1:1: the source is empty", b""),
    ("one-byte", "refused: source.wasm:1:1: ", b"\0"),
    ("text", "refused: source.wasm:1:1: ", b"(module)"),
    ("preamble", "refused: source.wasm:1:1: ", _MODULE),
    ("component", "refused: source.wasm:1:1: ", b"\0asm\x0d\0\x01\0"),
    ("truncated", "refused: source.wasm:1:1: ", _WHOLE[:-9]),
    ("trailing", "refused: source.wasm:1:1: ", _WHOLE + b"\x0b\xff"),
    ("length-lies", "refused: source.wasm:1:1: ", _MODULE + b"\x01\xff\xff\xff\xff\x0f"),
    ("number-endless", "refused: source.wasm:1:1: ", _MODULE + b"\x01" + b"\x80" * 1000),
    ("count-lies", "refused: source.wasm:1:1: ", _MODULE + _section(3, _number(19_999) + b"\0")),
    ("section-twice", "refused: source.wasm:1:1: ", _WHOLE + _WHOLE[8:]),
    ("section-unknown", "refused: source.wasm:1:1: ", _WHOLE + _section(99, b"x")),
    ("functions", "refused: source.wasm:1:1: ", _functions([b"\0\x0b"] * 60_000)),
    ("functions-allowed", "refused: source.wasm:1:1: ", _functions([b"\0\x0b"] * 20_000)),
    ("types", "refused: source.wasm:1:1: ", _MODULE + _section(1, _list([b"\x60\0\0"] * 60_000))),
    ("locals", "refused: source.wasm:1:1: ", _functions([b"\x01\xff\xff\xff\xff\x0f\x7f\x0b"])),
    ("blocks", "refused: source.wasm:1:1: ", _blocks(80_000)),
    ("branches", "refused: source.wasm:1:1: ", _branches(250_000)),
    ("export-name", "refused: source.wasm:1:1: ", _WHOLE.replace(b"alloc", b"\x1b[2J\xff")),
    ("export-escapes", "refused: source.wasm:1:1: ", _WHOLE.replace(b"alloc", b"\x1b[2J\0")),
    ("name-garbage", "compiles", _WHOLE + _custom(b"name", b"\x01\xff\xff\xff\xff\x0f" * 20_000)),
    ("custom-name-lies", "refused: source.wasm:1:1: ", _WHOLE + _section(0, b"\xff\xff\x03x")),
    ("lines-garbage", "compiles", _WHOLE + _custom(b"kiln.lines", b"../../etc/passwd\n" + b"\xff" * 250_000)),
    (
        "debug-garbage",
        "compiles",
        _WHOLE
        + b"".join(_custom(b".debug_" + name, b"\xff" * 60_000) for name in (b"info", b"line", b"abbrev", b"str")),
    ),
    ("debug-endless", "compiles", _WHOLE + _custom(b".debug_info", _LINE_PROGRAM)),
)

#: By language: name, what is to come of it, source.
MADE: dict[str, tuple[Made, ...]] = {
    "assemblyscript": (
        ("empty", "refused: source.ts:1:1: ", b""),
        ("not-utf-8", "refused: source.ts:1:1: ", b"// \xff\xfe\n" + ECHO["assemblyscript"]),
        ("nul", "refused: source.ts:1:", ECHO["assemblyscript"] + b"\0// \0"),
        _windows("assemblyscript"),
        ("deep", "refused | time | memory: source.ts:", _deep(b"export const a: i32 = ", b"(", b"1", b")", b";")),
    ),
    "c": (
        ("empty", "refused: source.c:1:1: there is no function", b""),
        ("nul", "compiles", b"/* \0 */ \0 " + ECHO["c"]),
        _windows("c"),
        ("deep", "refused: source.c:", _deep(b"int a = ", b"(", b"1", b")", b";")),
        ("deep-quietly", "refused: source.c:1:1: the compiler crashed", _deep(b"int a = ", b"-~", b"1", b"", b";")),
        ("one-line", "time | refused: source.c:1:", b"int a; int " * (LARGEST // 11)),
        ("unfinished", "refused: source.c:1:", b'char *a = "' + b"\x1b[2J\\" * (LARGEST // 6)),
    ),
    "cpp": (
        ("deep", "refused | time | memory: source.cpp:", _deep(b"auto a = ", b"[]{return ", b"1", b";}", b";")),
        ("raw-text", "refused: source.cpp:1:", b'auto a = R"' + b"x" * 200_000),
    ),
    "go": (
        ("empty", "refused: source.go:1:1: ", b""),
        ("nul", "refused: source.go:4:", ECHO["go"] + b"\n// \0\n"),
        ("deep", "refused | time | memory: source.go:1:1: ", _deep(b"package main\nvar a = ", b"(", b"1", b")", b"\n")),
        ("errors", "refused: source.go:2:", b"package main\n" + b"var a int = b; " * (LARGEST // 16)),
    ),
    "javascript": (
        ("empty", "refused: source.js:1:1: ", b""),
        ("not-utf-8", "compiles", b"// \xff\xfe\n" + ECHO["javascript"]),
        ("nul", "refused: source.js:1:33: ", ECHO["javascript"] + b"\0// \0"),
        _windows("javascript"),
        (
            "deep",
            "refused: source.js:1:1: the source nests or recurses too deeply",
            _deep(b"export default ", b"[", b"1", b"]", b";"),
        ),
        ("one-line", "compiles", ECHO["javascript"] + b"0;" * (LARGEST // 2 - 20)),
    ),
    "python": (
        ("empty", "refused: source.py:1:1: ", b""),
        ("one-byte", "refused: source.py:1", b"\xff"),
        ("nul", "refused: source.py:", ECHO["python"] + b"\n\0"),
        _windows("python"),
        ("deep", "refused: source.py:", _deep(b"a = ", b"(", b"1", b")", b"\n")),
        ("deep-quietly", "refused: source.py:", _deep(b"a = ", b"-", b"1", b"", b"\n")),
        ("digits", "refused: source.py:", b"a = " + b"9" * 250_000),
    ),
    "rust": (
        ("empty", "refused: source.rs:1:1: there is no function", b""),
        ("not-utf-8", "refused: source.rs:1:4: ", b"// \xff\xfe\n" + ECHO["rust"]),
        ("windows", "compiles", BOM_UTF8 + ECHO["rust"].replace(b"{ ", b"{\r\n") + b"\r\n"),
        ("deep", "refused: source.rs:1:1: the compiler crashed", _deep(b"const A: u8 = ", b"(", b"1", b")", b";")),
    ),
    "typescript": (
        ("empty", "refused: source.ts:1:1: ", b""),
        ("nul", "refused: source.ts:1:", ECHO["typescript"] + b"\0// \0"),
        _windows("typescript"),
        ("deep", "refused | time | memory: source.ts:", _deep(b"export default ", b"[", b"1", b"]", b";")),
    ),
    "wat": (
        ("empty", "refused: source.wat:1:1: the source is empty", b"  \n"),
        ("one-byte", "refused: source.wat:1:", b"("),
        ("not-utf-8", "refused: source.wat:", b"(module \xff)"),
        ("deep", "refused: source.wat:", _deep(b"(module (func ", b"(block ", b"", b")", b"))")),
        ("comments", "refused: source.wat:", _deep(b"", b"(;", b"", b"", b"")),
        ("functions", "refused: source.wat:1:1: ", b"(module " + b"(func)" * 40_000 + b")"),
        ("one-line", "refused: source.wat:1:", b"(module " + b"x" * 200_000),
    ),
    "wasm": _WASM,
    "zig": (
        ("empty", "refused: source.zig:1:1: error: there is no function", b""),
        ("nul", "refused: source.zig:", ECHO["zig"] + b"\n// \0\n"),
        _windows("zig"),
        ("deep", "refused: source.zig:1:1: the compiler crashed", _deep(b"const a = ", b"(", b"1", b")", b";")),
    ),
}
