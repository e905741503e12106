"""What a function may ask of Kiln."""

import json
import time

from app.wasm.limits import Limits
from app.wasm.outcome import Failure
from tests.wasm.modules import command, data, invoke, memory_abi, wasi, write_to

FAIL = '(import "kiln" "fail" (func $fail (param i32 i32)))'
CONTEXT = '(import "kiln" "context" (func $context (param i32 i32) (result i32)))'


def failing_with(message: bytes) -> str:
    """A module that fails with `message`."""
    body = f"(call $fail (i32.const 100) (i32.const {len(message)})) (i64.const 0)"
    return memory_abi(body, imports=FAIL, more=data(100, message))


def test_a_function_fails_with_its_own_message_and_place() -> None:
    outcome = invoke(failing_with(b"boom\n    at handle (source.js:2:9)\n    at glue.js:1:1"))

    assert outcome.failure is Failure.FUNCTION_ERROR
    assert outcome.message == "boom\n    at handle (source.js:2:9)\n    at glue.js:1:1"
    assert outcome.location == "source.js:2:9"


def test_a_message_is_bounded_and_holds_no_nul() -> None:
    outcome = invoke(failing_with(b"a\0b" + b"x" * 20_000))

    assert outcome.message is not None
    assert outcome.message.startswith("a\N{REPLACEMENT CHARACTER}bxxx")
    assert len(outcome.message) == 4_001


def test_a_runtime_that_says_it_is_out_of_memory_is_believed() -> None:
    outcome = invoke(failing_with(b"memory allocation of 1073741824 bytes failed"))

    assert outcome.failure is Failure.OUT_OF_MEMORY


def test_a_function_knows_its_execution() -> None:
    body = """
    (drop (call $context (i32.const 8192) (i32.const 4096)))
    (i64.or (i64.const 0x200000000000) (i64.extend_i32_u (call $context (i32.const 0) (i32.const 0))))
    """
    before = time.time() * 1000
    outcome = invoke(
        memory_abi(body, imports=CONTEXT), context={"executionId": "e-1", "attempt": 2}, limits=Limits(timeout_ms=5_000)
    )

    assert outcome.output is not None
    context = json.loads(outcome.output)
    assert context["executionId"] == "e-1"
    assert context["attempt"] == 2
    assert before < context["deadlineMs"] <= time.time() * 1000 + 5_000


def test_a_context_that_does_not_fit_is_not_written() -> None:
    call = "(drop (call $context (i32.const 65530) (i32.const 6)))"
    body = f"{call} (i64.store8 (i32.const 0) (i64.const 0x30)) (i64.const 1)"
    assert invoke(memory_abi(body, imports=CONTEXT)).output == "0"


def test_a_non_zero_exit_fails_with_the_last_line_of_standard_error() -> None:
    said = b"starting\nfatal: no such customer\n"
    body = f"{write_to(2, 100, len(said))} (call $proc_exit (i32.const 3))"
    outcome = invoke(command(body, imports=wasi("fd_write", "proc_exit"), more=data(100, said)))

    assert (outcome.failure, outcome.message) == (Failure.FUNCTION_ERROR, "fatal: no such customer")
    assert outcome.logs == said.decode()


def test_a_panic_on_standard_error_before_an_abort_is_the_functions_own_error() -> None:
    said = b"thread 'main' panicked at 'boom', source.rs:4:5\nnote: run with `RUST_BACKTRACE=1`\n"
    outcome = invoke(
        command(f"{write_to(2, 100, len(said))} unreachable", imports=wasi("fd_write"), more=data(100, said))
    )

    assert outcome.failure is Failure.FUNCTION_ERROR
    assert outcome.message == "thread 'main' panicked at 'boom', source.rs:4:5"
    assert outcome.location == "source.rs:4:5"


def test_an_exit_without_a_word_names_its_code() -> None:
    outcome = invoke(command("(call $proc_exit (i32.const -1))", imports=wasi("proc_exit")))

    assert (outcome.failure, outcome.message) == (Failure.FUNCTION_ERROR, "The function exited with code -1.")
