"""AssemblyScript's string ABI, and what its runtime imports under any ABI."""

import pytest

from app.wasm.outcome import Failure
from tests.wasm.modules import assemblyscript, invoke, memory_abi, utf16_at

ABORT = '(import "env" "abort" (func $abort (param i32 i32 i32 i32)))'
CONSOLE = '(import "env" "console.warn" (func $warn (param i32)))'


def test_a_string_goes_in_and_a_string_comes_out() -> None:
    assert invoke(assemblyscript("(local.get $s)"), '{"name": "Wörld 😀"}').output == '{"name": "Wörld 😀"}'


def thrown(file: str) -> str:
    """A module that throws in `file` at 2:25."""
    strings = utf16_at(1_000, "Division by zero") + utf16_at(1_200, file)
    body = "(call $abort (i32.const 1000) (i32.const 1200) (i32.const 2) (i32.const 25)) unreachable"
    return assemblyscript(body, imports=ABORT, more=strings)


def test_a_thrown_error_has_its_message_and_place() -> None:
    outcome = invoke(thrown("source.ts"))

    assert outcome.failure is Failure.FUNCTION_ERROR
    assert (outcome.message, outcome.location) == ("Division by zero", "source.ts:2:25")


def test_a_place_in_the_compilers_library_is_no_place_in_the_source() -> None:
    outcome = invoke(thrown("~lib/array.ts"))

    assert (outcome.message, outcome.location) == ("Division by zero (~lib/array.ts:2:25)", None)


def test_the_compilers_own_stack_check_is_a_stack_overflow() -> None:
    body = "(call $abort (i32.const 4096) (i32.const 4144) (i32.const 1) (i32.const 1)) unreachable"
    outcome = invoke(assemblyscript(body, imports=ABORT))

    assert (outcome.failure, outcome.location) == (Failure.STACK_OVERFLOW, None)


def test_an_abort_without_strings_still_has_a_message() -> None:
    body = "(call $abort (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)) unreachable"
    outcome = invoke(assemblyscript(body, imports=ABORT))

    assert (outcome.failure, outcome.message, outcome.location) == (Failure.FUNCTION_ERROR, "abort", None)


def test_the_runtimes_imports_also_serve_the_memory_abi() -> None:
    imports = f"""{ABORT} {CONSOLE} (import "env" "seed" (func $seed (result f64)))
    (import "env" "Date.now" (func $now (result f64)))
    (import "env" "trace" (func $trace (param i32 i32 f64 f64 f64 f64 f64)))"""
    body = """
    (call $warn (i32.const 1000)) (drop (call $seed))
    (call $trace (i32.const 1000) (i32.const 2) (f64.const 1) (f64.const 2.5) (f64.const 0) (f64.const 0) (f64.const 0))
    (i32.store8 (i32.const 0) (i32.add (i32.const 0x30) (f64.gt (call $now) (f64.const 1e12)))) (i64.const 1)
    """
    outcome = invoke(memory_abi(body, imports=imports, more=utf16_at(1_000, "careful")))

    assert (outcome.output, outcome.logs) == ("1", "warning: careful\ntrace: careful 1 2.5\n")


@pytest.mark.parametrize(
    ("result", "strings", "message"),
    [
        ("(i32.const 0)", "", "The function returned null instead of a string."),
        ("(i32.const 1000)", utf16_at(1_000, "{}", class_id=5), "The function did not return a string."),
        ("(i32.const 1000)", utf16_at(1_000, "nope"), "The function's output is not JSON: Expecting value"),
    ],
)
def test_what_is_not_a_json_string_is_invalid_output(result: str, strings: str, message: str) -> None:
    outcome = invoke(assemblyscript(result, more=strings))

    assert outcome.failure is Failure.INVALID_OUTPUT
    assert outcome.message is not None
    assert outcome.message.startswith(message)


def test_half_a_surrogate_pair_is_invalid_output() -> None:
    string = '(data (i32.const 992) "\\02\\00\\00\\00\\02\\00\\00\\00\\00\\d8")'
    assert invoke(assemblyscript("(i32.const 1000)", more=string)).failure is Failure.INVALID_OUTPUT


def test_an_exit_ends_the_function() -> None:
    imports = '(import "env" "process.exit" (func $exit (param i32)))'
    outcome = invoke(assemblyscript("(call $exit (i32.const 4)) (i32.const 0)", imports=imports))

    assert (outcome.failure, outcome.message) == (Failure.FUNCTION_ERROR, "The function exited with code 4.")
