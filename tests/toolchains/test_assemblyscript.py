"""AssemblyScript: what compiles, how it runs, and what authors are told when it does not compile."""

import json
import re
from pathlib import Path

import pytest

from app.toolchains import Compiled, CompileFailed, CompilerOutOfMemory, CompilerTimedOut
from app.toolchains.assemblyscript import AssemblyScript
from app.toolchains.assemblyscript.toolchain import PACKAGES
from app.toolchains.jail import JailLimits
from app.wasm.outcome import Failure
from tests.toolchains.running import SHARED, call, compiled, execute

ECHO = "export function handle(input: string): string { return input; }"
WANTED = "source.ts:1:1: the source must export function handle(input: string): string"


def diagnostics(toolchain: AssemblyScript, source: str | bytes) -> str:
    with pytest.raises(CompileFailed) as caught:
        toolchain.compile(source.encode() if isinstance(source, str) else source, shared=SHARED)
    return caught.value.diagnostics


@pytest.fixture(scope="module")
def echo(assemblyscript: AssemblyScript) -> Compiled:
    return assemblyscript.compile(ECHO.encode(), shared=SHARED)


@pytest.mark.parametrize("text", ['{"a":1}', "null", '"ä € 𝄞 \\u0000"', "[" + "1," * 50_000 + "1]"])
def test_one_line_is_a_whole_function(echo: Compiled, text: str) -> None:
    assert call(echo.wasm, text).output == text


@pytest.fixture(scope="module")
def strings(assemblyscript: AssemblyScript) -> Compiled:
    body = "return JSON.stringify(JSON.parse<string>(input));"
    source = f'import {{ JSON }} from "json-as";\nexport function handle(input: string): string {{ {body} }}'
    return assemblyscript.compile(source.encode(), shared=SHARED)


SPECIAL = ["\\/", "\\n", "\\u00e9", "\\\\", '\\"', "\\u0001", "\\ud83e\\udd8a", "🦊", "é", "€", "/"]


@pytest.mark.parametrize("before", range(9))
def test_the_json_library_reads_and_writes_every_string(strings: Compiled, before: int) -> None:
    texts = [f'"{"x" * before}{one}{"y" * after}"' for one in SPECIAL for after in range(9)]
    for text in texts:
        assert json.loads(call(strings.wasm, text).output or "") == json.loads(text), text


def test_an_error_within_the_library_is_placed_where_the_author_called() -> None:
    source = """
function last(n: i32, items: i32[]): i32 {
  if (n == 0) return items.pop();
  return last(n - 1, items) + 1;
}
export function handle(input: string): string {
  return last(input.length, []).toString();
}"""
    outcome = execute(compiled("assemblyscript", source.encode()), "[1, 2]")
    assert outcome.failure is Failure.FUNCTION_ERROR
    assert (outcome.message or "").startswith("Array is empty (~lib/array.ts:")
    # What the optimiser puts into its caller has no place of its own; the call before it has.
    assert (outcome.location or "").startswith("source.ts:4:")


def test_a_compilation_says_how_it_was_made_and_can_be_repeated(assemblyscript: AssemblyScript, echo: Compiled) -> None:
    assert (echo.toolchain, echo.toolchain_version) == ("assemblyscript", "0.28.20")
    assert echo.flags[0] == "-O2"
    assert echo.duration_ms > 0
    assert echo.wasm == assemblyscript.compile(ECHO.encode(), shared=SHARED).wasm


def test_marks_line_ends_and_sizes_of_editors_do_not_matter(assemblyscript: AssemblyScript) -> None:
    source = f"\ufeff\r\n// Grüße 𝄞\r\n// {'a' * 1_000_000}\r\n{ECHO}\r\n"
    assert call(assemblyscript.compile(source.encode(), shared=SHARED).wasm, "[]").output == "[]"


def test_a_source_of_one_long_line_compiles(assemblyscript: AssemblyScript) -> None:
    source = f"export function handle(input: string): string {{ return '\"{'x' * 400_000}\"'; }}"
    assert call(assemblyscript.compile(source.encode(), shared=SHARED).wasm, "{}").output == f'"{"x" * 400_000}"'


def test_json_is_read_and_written_by_the_library(assemblyscript: AssemblyScript) -> None:
    source = """
import { JSON } from "json-as";
@json class Order { id: i32 = 0; lines: string[] = []; }
export function handle(input: string): string {
  const order = JSON.parse<Order>(input);
  order.id++;
  order.lines.push("ä");
  return JSON.stringify(order);
}"""
    compiled = assemblyscript.compile(source.encode(), shared=SHARED)
    assert compiled.flags[:2] == ("--transform", "json-as@1.6.0")
    assert call(compiled.wasm, '{"id":41,"lines":["x"]}').output == '{"id":42,"lines":["x","ä"]}'


def test_a_thrown_error_names_its_place_in_the_authors_source(assemblyscript: AssemblyScript) -> None:
    lines = ["\ufeff// ü", "export function handle(input: string): string {", '  throw new Error("no " + input);', "}"]
    outcome = call(assemblyscript.compile("\r\n".join(lines).encode(), shared=SHARED).wasm, "7")
    assert outcome.failure is Failure.FUNCTION_ERROR
    assert outcome.message is not None
    assert outcome.message.startswith("no 7")
    assert outcome.location == "source.ts:3:3"


def test_an_error_while_the_module_starts_is_the_functions_error(assemblyscript: AssemblyScript) -> None:
    source = f'function fail(): i32 {{ throw new Error("early"); }}\nexport const x = fail();\n{ECHO}'
    outcome = call(assemblyscript.compile(source.encode(), shared=SHARED).wasm, "7")
    assert outcome.failure is Failure.FUNCTION_ERROR
    assert outcome.location == "source.ts:1:24"


def test_type_errors_come_with_line_and_column_first_error_first(assemblyscript: AssemblyScript) -> None:
    lines = ["export function handle(input: string): string {", '  let n: i32 = "𝄞";', "  return 1;", "}"]
    assert diagnostics(assemblyscript, "\r\n".join(lines)).splitlines() == [
        "source.ts:2:16: TS2322: Type 'string' is not assignable to type 'i32'.",
        "source.ts:3:10: TS2322: Type 'i32' is not assignable to type 'string'.",
    ]


@pytest.mark.parametrize(
    ("source", "start"),
    [
        ("export function handle(input: string): string { return inptu; }", "source.ts:1:56: TS2304: Cannot find name"),
        ("export function handle(input: string): string { return '", "source.ts:1:56: TS1002: Unterminated string"),
        ("export function handle(", "source.ts:1:"),
        ("nul\0", "source.ts:1:4: TS1127: Invalid character."),
        (b"\xff\xfe", "source.ts:1:1: the source is not UTF-8"),
        ("import { JSON } from 'json-as';\n@json({lazy: 'x'}) class A { x: i32 = 0; }\n" + ECHO, "source.ts:2:"),
    ],
)
def test_faults_of_the_source_are_told_in_its_own_lines(
    assemblyscript: AssemblyScript, source: str | bytes, start: str
) -> None:
    assert diagnostics(assemblyscript, source).startswith(start)


@pytest.mark.parametrize(
    "source",
    [
        "",
        "export function handel(input: string): string { return input; }",
        "export function handle(input: i32): string { return ''; }",
        "export function handle(input: string): string | null { return null; }",
    ],
)
def test_a_missing_or_wrong_handle_is_told_in_the_authors_words(assemblyscript: AssemblyScript, source: str) -> None:
    assert diagnostics(assemblyscript, source) == WANTED


def test_an_import_reaches_no_file_of_the_machine(assemblyscript: AssemblyScript) -> None:
    paths = [
        "../../../../etc/passwd",
        "/etc/passwd",
        "./package",
        "fs",
        "json-as/../assemblyscript/std/assembly/array",
    ]
    found = diagnostics(assemblyscript, "".join(f"import {{ x }} from '{path}';\n" for path in paths) + ECHO)
    lines = sorted(found.splitlines())
    assert len(lines) == len(paths)
    for number, line in enumerate(lines, 1):
        assert re.fullmatch(rf"source\.ts:{number}:19: TS6054: File '[^']*' not found\.", line)


def test_a_compiler_that_crashes_says_so_without_paths(assemblyscript: AssemblyScript) -> None:
    source = f"export function handle(input: string): string {{ return {'(' * 20_000}input{')' * 20_000}; }}"
    assert diagnostics(assemblyscript, source) == "source.ts:1:1: the source nests or recurses too deeply"


def test_a_compilation_without_end_is_ended(assemblyscript: AssemblyScript) -> None:
    endless = "@inline function f(x: i32): i32 { return f(x) + f(x); }\nf(1);\n" + ECHO
    with pytest.raises(CompilerTimedOut) as caught:
        AssemblyScript(JailLimits(wall_ms=1500)).compile(endless.encode(), shared=SHARED)
    assert caught.value.diagnostics == "source.ts:1:1: compilation took longer than 1.5 s"


def test_a_compilation_beyond_its_memory_is_ended(assemblyscript: AssemblyScript) -> None:
    with pytest.raises(CompilerOutOfMemory) as caught:
        AssemblyScript(JailLimits(data_bytes=600 << 20)).compile(ECHO.encode(), shared=SHARED)
    assert caught.value.diagnostics == "source.ts:1:1: compilation needed more than 600 MiB of memory"
    assert str(Path.cwd()) not in caught.value.log


def test_very_many_errors_are_cut(assemblyscript: AssemblyScript) -> None:
    found = diagnostics(assemblyscript, "".join(f"let {'v' * 500}{n}: i32 = 'x';\n" for n in range(2000)) + ECHO)
    assert len(found.encode()) <= 64 * 1024
    assert found.startswith("source.ts:1:")


def test_the_packages_are_pinned_without_naming_a_registry() -> None:
    lock = (PACKAGES.folder / "package-lock.json").read_text()
    assert '"resolved"' not in lock
    assert PACKAGES.pinned("assemblyscript") == "0.28.20"
    assert PACKAGES.pinned("json-as") == "1.6.0"
