"""What is special to C and C++: what the compiler says, what it must not read, and what the library makes of faults."""

import json

import pytest

from app.wasm.outcome import Failure
from tests.toolchains.running import compiled, execute, refused


@pytest.mark.parametrize(
    ("language", "source", "place", "message"),
    [
        ("c", "char *handle(const char *input) {\n    return inpt;\n}\n", "2:12", "undeclared identifier 'inpt'"),
        (
            "cpp",
            "#include <string>\nstd::string handle(const std::string &i) { return 1.5 + i; }\n",
            "2:55",
            "invalid operands",
        ),
        ("cpp", "void handle() { throw 1; }\n", "1:17", "exceptions disabled"),
    ],
)
def test_an_error_has_its_line_and_column(language: str, source: str, place: str, message: str) -> None:
    first = refused(language, source).diagnostics.splitlines()[0]
    assert first.startswith(f"source.{language}:{place}: ")
    assert message in first


@pytest.mark.parametrize("language", ["c", "cpp"])
def test_errors_are_a_line_each_and_the_log_has_the_rest(language: str) -> None:
    error = refused(language, "int one(void) { return nowhere; }\nint two(void) { return neither; }\n")
    lines = error.diagnostics.splitlines()
    assert [line.split(": ")[:2] for line in lines] == [
        [f"source.{language}:1:24", "error"],
        [f"source.{language}:2:24", "error"],
    ]
    assert "    1 | int one(void) { return nowhere; }" in error.log


def test_c_is_that_of_2023() -> None:
    handle = "char *handle(const char *input) { auto text = input; return (char *)text; }"
    source = f"static_assert(__STDC_VERSION__ >= 202311L);\n{handle}\n"
    assert execute(compiled("c", source.encode()), "7").output == "7"


@pytest.mark.parametrize("language", ["c", "cpp"])
def test_a_source_without_a_handle_is_told_what_is_wanted(language: str) -> None:
    said = refused(language, "int answer(void) { return 42; }\n").diagnostics
    assert said.startswith(f"source.{language}:1:1: there is no function `")
    assert "handle" in said


def test_what_nothing_defines_is_named() -> None:
    said = refused("c", "char *other(void);\nchar *handle(const char *input) { return other(); }\n").diagnostics
    assert said == "source.c:1:1: nothing defines other"


@pytest.mark.parametrize(
    "line",
    [
        '#include "/etc/passwd"',
        "#include </proc/self/environ>",
        '#include "/proc/self/cmdline"',
        '#include "../../../../../../etc/hosts"',
        '__asm__(".incbin \\"/etc/passwd\\"");',
        'static const char stolen[] = {\n#embed "/etc/passwd"\n};',
    ],
)
def test_a_source_cannot_read_the_machine(line: str) -> None:
    error = refused("c", f"{line}\nchar *handle(const char *input) {{ return 0; }}\n")
    assert "root:" not in error.diagnostics + error.log
    assert "PATH=" not in error.diagnostics + error.log


def test_json_keeps_what_a_program_makes() -> None:
    source = r"""
#include <kiln.h>
char *handle(const char *input) {
    json *asked = json_parse(input);
    if (!asked) kiln_fail("not JSON");
    json *list = json_array();
    for (size_t i = 0; i < json_size(asked); i++) json_add(list, json_from_string(json_name(asked, i)));
    json *made = json_set(json_object(), "names", list);
    json_set(made, "kind", json_from_number(json_kind(json_get(asked, "missing"))));
    json_set(made, "quoted", json_from_string("\"\\\n\x01"));
    return json_write(json_set(made, "third", json_from_number(1.0 / 3)));
}
"""
    outcome = execute(compiled("c", source.encode()), '{"a": 1, "\u00e4": [2]}')
    assert outcome.output is not None, outcome
    assert json.loads(outcome.output) == {
        "names": ["a", "ä"],
        "kind": 0,
        "quoted": '"\\\n\x01',
        "third": 1 / 3,
    }


@pytest.mark.parametrize(
    ("body", "expected", "message"),
    [
        ("return 0;", Failure.FUNCTION_ERROR, "handle returned NULL"),
        ("exit(3);", Failure.FUNCTION_ERROR, "The function exited with code 3."),
        ("abort();", Failure.TRAP, "unreachable"),
        ('assert(!"never"); return 0;', Failure.FUNCTION_ERROR, 'Assertion failed: !"never"'),
        ("return (char *)-5;", Failure.TRAP, "out of bounds"),
        ('return "{not json";', Failure.INVALID_OUTPUT, ""),
        ('volatile int zero = 0; return 7 / zero == 7 ? "1" : "0";', Failure.TRAP, "integer divide by zero"),
    ],
)
def test_an_end_is_told_for_what_it_is(body: str, expected: Failure, message: str) -> None:
    source = f"#include <assert.h>\n#include <stdlib.h>\nchar *handle(const char *input) {{ {body} }}\n"
    outcome = execute(compiled("c", source.encode()), "{}")
    assert outcome.failure is expected, outcome
    assert message in (outcome.message or "")
