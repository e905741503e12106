"""Pointers that a hostile guest would send."""

import pytest

from app.wasm.outcome import Failure
from tests.wasm.modules import ECHO_HANDLE, MEMORY, assemblyscript, invoke, memory_abi, wasi

BAD = [
    (-8, 4),
    (0, -1),
    (65_536, 1),
    (65_535, 2),
    (0x7FFF_FFFF, 0x7FFF_FFFF),
    (-1, -1),
    (-16, 32),
]


@pytest.mark.parametrize(("pointer", "length"), BAD)
def test_a_result_outside_of_memory_is_a_trap(pointer: int, length: int) -> None:
    packed = (pointer & 0xFFFF_FFFF) << 32 | length & 0xFFFF_FFFF
    outcome = invoke(memory_abi(f"(i64.const {packed - (1 << 64) if packed >> 63 else packed})"))

    assert outcome.failure is Failure.TRAP
    assert outcome.message is not None
    assert outcome.message.startswith("bad pointer")


@pytest.mark.parametrize(("pointer", "length"), BAD)
def test_a_host_call_with_bytes_outside_of_memory_is_a_trap(pointer: int, length: int) -> None:
    imports = '(import "kiln" "log" (func $log (param i32 i32 i32)))'
    body = f"(call $log (i32.const 1) (i32.const {pointer}) (i32.const {length})) (i64.const 0)"
    outcome = invoke(memory_abi(body, imports=imports))

    assert outcome.failure is Failure.TRAP
    assert outcome.message is not None
    assert "bad pointer" in outcome.message


def test_an_allocator_that_answers_outside_of_memory_is_a_trap() -> None:
    alloc = '(func (export "alloc") (param i32) (result i32) (i32.const -1))'
    outcome = invoke(f"(module {MEMORY} {alloc} {ECHO_HANDLE})")

    assert outcome.failure is Failure.TRAP


@pytest.mark.parametrize("pointer", [-8, 1, 4, 65_541, 70_000, 0x7FFF_FFFF])
def test_a_string_outside_of_memory_is_a_trap(pointer: int) -> None:
    more = '(data (i32.const 0) "\\ff\\ff\\ff\\ff\\ff\\ff\\ff\\7f")'
    outcome = invoke(assemblyscript(f"(i32.const {pointer})", more=more))

    assert outcome.failure is Failure.TRAP
    assert outcome.message is not None
    assert "bad pointer" in outcome.message


def test_a_vector_longer_than_memory_is_a_trap() -> None:
    body = """
    (i32.store (i32.const 0) (i32.const 16)) (i32.store (i32.const 4) (i32.const 0x7fffffff))
    (drop (call $fd_write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 8))) (i64.const 0)
    """
    assert invoke(memory_abi(body, imports=wasi("fd_write"))).failure is Failure.TRAP


def test_more_vectors_than_any_program_needs_are_refused_with_an_error_number() -> None:
    body = """
    (i32.store8 (i32.const 100) (i32.add (i32.const 0x30)
      (i32.eq (i32.const 28) (call $fd_write (i32.const 2) (i32.const 0) (i32.const -1) (i32.const 8)))))
    (i64.const 0x6400000001)
    """
    assert invoke(memory_abi(body, imports=wasi("fd_write"))).output == "1"
