"""What is kept of what a guest prints."""

from app.wasm.limits import Limits
from app.wasm.outcome import Failure
from tests.wasm.modules import command, data, invoke, memory_abi, wasi, write_to

LOG = '(import "kiln" "log" (func $log (param i32 i32 i32)))'
ANSWER = "(i32.store8 (i32.const 0) (i32.const 0x30)) (i64.const 1)"


def test_lines_are_kept_with_their_level() -> None:
    body = f"""
    (call $log (i32.const 1) (i32.const 100) (i32.const 5)) (call $log (i32.const 3) (i32.const 100) (i32.const 5))
    {ANSWER}
    """
    outcome = invoke(memory_abi(body, imports=LOG, more=data(100, b"hello")))

    assert outcome.output == "0"
    assert outcome.logs == "hello\nerror: hello\n"


def test_printing_and_standard_error_go_to_the_log() -> None:
    body = f"{write_to(1, 100, 4)} {write_to(2, 104, 4)} {ANSWER}"
    outcome = invoke(memory_abi(body, imports=wasi("fd_write"), more=data(100, b"out\nerr\n")))

    assert outcome.logs == "out\nerr\n"


def test_a_flood_is_cut_with_a_marker() -> None:
    flood = f"(loop $l {write_to(2, 100, 1)} (br $l))"
    outcome = invoke(
        command(flood, imports=wasi("fd_write"), more=data(100, b"x")), limits=Limits(timeout_ms=200, log_bytes=500)
    )

    assert outcome.failure is Failure.TIMEOUT
    assert outcome.logs == "x" * 500 + "\n[log cut at 500 bytes]\n"


def test_one_huge_write_is_cut_too() -> None:
    outcome = invoke(command(write_to(2, 100, 60_000), imports=wasi("fd_write")), limits=Limits(log_bytes=10))

    assert outcome.logs == "\N{REPLACEMENT CHARACTER}" * 10 + "\n[log cut at 10 bytes]\n"


def test_bytes_that_are_not_text_are_replaced() -> None:
    body = f"{write_to(2, 100, 4)} {ANSWER}"
    outcome = invoke(memory_abi(body, imports=wasi("fd_write"), more=data(100, b"a\xff\x00b")))

    assert outcome.logs == "a\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}b"


def test_logs_survive_a_trap() -> None:
    outcome = invoke(command(f"{write_to(2, 100, 4)} unreachable", imports=wasi("fd_write"), more=data(100, b"last")))

    assert (outcome.failure, outcome.logs) == (Failure.TRAP, "last")
