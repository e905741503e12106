"""WASI preview 1 as guests see it."""

import json

from app.wasm.limits import Limits
from app.wasm.outcome import Failure
from tests.wasm.modules import COMMAND_ECHO, command, data, invoke, memory_abi, wasi, write_to

# Writes the low digit of the number on the stack to memory as JSON, and answers it.
DIGIT = "(i32.store8 (i32.const 0) (i32.add (i32.const 0x30) (local.get $p))) (i64.const 1)"


def digit_of(call: str, *names: str) -> str:
    """A module that answers the number, below ten, that `call` gives."""
    return memory_abi(f"(local.set $p {call}) {DIGIT}", imports=wasi(*names))


def test_a_command_reads_standard_input_and_answers_on_standard_output() -> None:
    assert invoke(COMMAND_ECHO, '{"name": "Wörld"}').output == '{"name": "Wörld"}'


def test_a_command_that_exits_with_zero_has_answered() -> None:
    body = f"{write_to(1, 100, 2)} (call $proc_exit (i32.const 0))"
    outcome = invoke(command(body, imports=wasi("fd_write", "proc_exit"), more=data(100, b"[]")))

    assert outcome.output == "[]"


def test_a_command_that_floods_its_output_is_stopped() -> None:
    body = f"(loop $l {write_to(1, 100, 30_000)} (br $l))"
    outcome = invoke(command(body, imports=wasi("fd_write")), limits=Limits(output_bytes=100_000))

    assert outcome.failure is Failure.OUTPUT_TOO_LARGE


def test_the_environment_is_the_functions_own() -> None:
    body = """
    (drop (call $environ_sizes_get (i32.const 0) (i32.const 4)))
    (drop (call $environ_get (i32.const 512) (i32.const 8192)))
    (i64.or (i64.const 0x200000000000) (i64.extend_i32_u (i32.sub (i32.load (i32.const 4)) (i32.const 1))))
    """
    outcome = invoke(memory_abi(body, imports=wasi("environ_get", "environ_sizes_get")), environment={'"A': '1"'})

    assert outcome.output is not None
    assert json.loads(outcome.output) == "A=1"


def test_an_endless_sleep_ends_at_the_deadline() -> None:
    body = """
    (i64.store (i32.const 24) (i64.const 1000000000000000000)) (i32.store (i32.const 16) (i32.const 1))
    (drop (call $poll_oneoff (i32.const 0) (i32.const 256) (i32.const 1) (i32.const 512)))
    """
    outcome = invoke(command(body, imports=wasi("poll_oneoff")), limits=Limits(timeout_ms=150))

    assert outcome.failure is Failure.TIMEOUT
    assert outcome.duration_ms < 2_000


def test_a_short_sleep_wakes_with_its_event() -> None:
    body = """
    (i64.store (i32.const 0) (i64.const 77)) (i64.store (i32.const 24) (i64.const 20000000))
    (i32.store (i32.const 16) (i32.const 1))
    (drop (call $poll_oneoff (i32.const 0) (i32.const 256) (i32.const 1) (i32.const 512)))
    (local.set $p (i32.and (i32.eq (i32.load (i32.const 512)) (i32.const 1))
                           (i64.eq (i64.load (i32.const 256)) (i64.const 77))))
    """
    outcome = invoke(memory_abi(f"{body} {DIGIT}", imports=wasi("poll_oneoff")))

    assert outcome.output == "1"
    assert outcome.duration_ms >= 20


def test_an_immense_number_of_subscriptions_is_refused() -> None:
    call = "(i32.eq (i32.const 28) (call $poll_oneoff (i32.const 0) (i32.const 0) (i32.const -1) (i32.const 0)))"
    assert invoke(digit_of(call, "poll_oneoff")).output == "1"


def test_random_bytes_of_two_gigabytes_are_a_bad_pointer() -> None:
    outcome = invoke(digit_of("(call $random_get (i32.const 0) (i32.const 0x7fffffff))", "random_get"))

    assert outcome.failure is Failure.TRAP


def test_random_bytes_differ_between_runs() -> None:
    body = """
    (drop (call $random_get (i32.const 0) (i32.const 8)))
    (i64.store (i32.const 0) (i64.or (i64.and (i64.load (i32.const 0)) (i64.const 0x0707070707070707))
                                     (i64.const 0x3030303030303030)))
    (i64.store8 (i32.const 0) (i64.const 0x31)) (i64.const 8)
    """
    module = memory_abi(body, imports=wasi("random_get"))
    assert len({invoke(module).output for _ in range(5)}) > 1


def test_the_clock_is_rounded_to_a_millisecond() -> None:
    body = """
    (drop (call $clock_time_get (local.get $n) (i64.const 1) (i32.const 8)))
    (local.set $p (i32.and (i64.eqz (i64.rem_u (i64.load (i32.const 8)) (i64.const 1000000)))
                           (i64.ne (i64.load (i32.const 8)) (i64.const 0))))
    """
    module = memory_abi(f"{body} {DIGIT}", imports=wasi("clock_time_get"))
    assert [invoke(module, given).output for given in ("", "0")] == ["1", "1"]


def test_a_guest_that_spins_on_the_clock_ends_at_its_deadline() -> None:
    body = "(loop $l (drop (call $clock_time_get (i32.const 0) (i64.const 1) (i32.const 8))) (br $l))"
    outcome = invoke(command(body, imports=wasi("clock_time_get")), limits=Limits(timeout_ms=150))

    assert outcome.failure is Failure.TIMEOUT


def test_there_are_no_files() -> None:
    opened = """(call $path_open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 0)
                  (i64.const -1) (i64.const -1) (i32.const 0) (i32.const 8))"""
    assert invoke(digit_of(opened, "path_open")).output == "8"
    assert invoke(digit_of("(call $fd_renumber (i32.const 1) (i32.const 2))", "fd_renumber")).output == "8"
