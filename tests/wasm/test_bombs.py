"""Guests that would run, grow or recurse for ever."""

import pytest

from app.wasm.limits import MIB, Limits
from app.wasm.outcome import Failure
from tests.wasm.modules import (
    ALLOC,
    ECHO,
    ECHO_HANDLE,
    MEMORY,
    answering,
    assemblyscript,
    command,
    invoke,
    memory_abi,
)

ENDLESS = "(loop $again (br $again))"
BRIEF = Limits(timeout_ms=150)

ENDLESS_MODULES = {
    "handle": memory_abi(f"{ENDLESS} unreachable"),
    "start": f"(module {MEMORY} {ALLOC} {ECHO_HANDLE} (func $s {ENDLESS}) (start $s))",
    "_initialize": f'(module {MEMORY} {ALLOC} {ECHO_HANDLE} (func (export "_initialize") {ENDLESS}))',
    "alloc": f'(module {MEMORY} {ECHO_HANDLE} (func (export "alloc") (param i32) (result i32) {ENDLESS} unreachable))',
    "_start": command(ENDLESS),
    "string handle": assemblyscript(f"{ENDLESS} unreachable"),
}


@pytest.mark.parametrize("where", ENDLESS_MODULES)
def test_an_endless_loop_ends_at_its_deadline(where: str) -> None:
    outcome = invoke(ENDLESS_MODULES[where], limits=BRIEF)

    assert outcome.failure is Failure.TIMEOUT
    assert outcome.message == "The function was stopped at its limit of 150 ms."
    assert 140 <= outcome.duration_ms < 2_000


def test_a_run_after_a_timeout_is_not_hit_by_its_epoch() -> None:
    assert invoke(memory_abi(f"{ENDLESS} unreachable"), limits=BRIEF).failure is Failure.TIMEOUT
    for _ in range(50):
        assert invoke(ECHO, limits=BRIEF).output == "{}"


def test_endless_recursion_is_a_stack_overflow() -> None:
    outcome = invoke(memory_abi("(call $r) (i64.const 0)", more="(func $r (call $r))"))

    assert outcome.failure is Failure.STACK_OVERFLOW
    assert outcome.message == "The call stack is larger than its limit of 524288 bytes."


GROW_TO_THE_END = "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))"


def test_memory_grows_to_its_limit_and_not_further() -> None:
    touch = "(memory.fill (i32.const 0) (i32.const 7) (i32.mul (memory.size) (i32.const 65536)))"
    answer = "(i32.store (i32.const 0) (i32.const 0x30)) (i64.const 1)"
    outcome = invoke(memory_abi(f"{GROW_TO_THE_END} {touch} {answer}"), limits=Limits(memory_bytes=8 * MIB))

    assert outcome.output == "0"
    assert 7 * MIB <= outcome.memory_peak_bytes <= 8 * MIB


def test_an_abort_after_a_refused_growth_is_out_of_memory() -> None:
    outcome = invoke(memory_abi(f"{GROW_TO_THE_END} unreachable"), limits=Limits(memory_bytes=8 * MIB))

    assert outcome.failure is Failure.OUT_OF_MEMORY
    assert outcome.message == "The function needed more than its limit of 8388608 bytes of memory."


def test_an_abort_with_little_memory_in_use_is_a_trap() -> None:
    outcome = invoke(memory_abi("unreachable"))

    assert outcome.failure is Failure.TRAP
    assert outcome.message == "wasm trap: wasm `unreachable` instruction executed in handle"


def test_a_memory_that_begins_too_large_is_out_of_memory() -> None:
    outcome = invoke(memory_abi("(i64.const 0)", memory='(memory (export "memory") 4000)'))

    assert outcome.failure is Failure.OUT_OF_MEMORY
    assert outcome.message is not None
    assert "4000 pages" in outcome.message


@pytest.mark.parametrize("tables", ["(table 10000000 funcref)", "(table 1 funcref)" * 5])
def test_too_many_tables_or_entries_are_refused_at_the_start(tables: str) -> None:
    outcome = invoke(memory_abi("(i64.const 0)", more=tables))

    assert outcome.failure is Failure.TRAP
    assert outcome.message is not None
    assert "table" in outcome.message


def test_filling_memory_for_ever_ends_soon_after_the_deadline() -> None:
    fill = "(loop $l (memory.fill (i32.const 0) (i32.const 7) (i32.mul (memory.size) (i32.const 65536))) (br $l))"
    module = memory_abi(f"{fill} unreachable", memory='(memory (export "memory") 1024)')
    outcome = invoke(module, limits=BRIEF)

    assert outcome.failure is Failure.TIMEOUT
    assert outcome.duration_ms < 2_500


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("(drop (i32.div_u (i32.const 1) (local.get $p))) (i64.const 0)", None),
        ("(drop (i32.div_u (i32.const 1) (i32.const 0))) (i64.const 0)", "wasm trap: integer divide by zero in handle"),
        ("(drop (i32.load (i32.const -4))) (i64.const 0)", "wasm trap: out of bounds memory access in handle"),
        (
            "(drop (i32.trunc_f64_s (f64.const nan))) (i64.const 0)",
            "wasm trap: invalid conversion to integer in handle",
        ),
    ],
)
def test_a_trap_is_said_in_words(body: str, message: str | None) -> None:
    outcome = invoke(memory_abi(body))

    if message is None:
        assert outcome.failure is Failure.INVALID_OUTPUT
    else:
        assert (outcome.failure, outcome.message) == (Failure.TRAP, message)


def test_an_answer_larger_than_the_limit_is_refused_before_it_is_read() -> None:
    outcome = invoke(answering(b'"' + b"x" * 2_000 + b'"'), limits=Limits(output_bytes=1_000))

    assert outcome.failure is Failure.OUTPUT_TOO_LARGE
    assert outcome.message == "The output is larger than its limit of 1000 bytes."
