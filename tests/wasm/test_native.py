"""Native code: bounded before it is made, sealed, and made by a child process."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
import wasmtime

from app.wasm.engine import configuration_key
from app.wasm.errors import ModuleRefused, NativeCodeRefused, PrecompileFailed, UnsupportedModule
from app.wasm.limits import Limits
from app.wasm.native import load, precompile, seal, verify
from app.wasm.precompile import COMMAND, Precompiled, parse_reply
from app.wasm.run import run
from app.wasm.shapes import Shape
from tests.wasm.modules import ECHO, memory_abi

KEY = hashlib.sha256(b"a key of the tests").digest()
WASM = bytes(wasmtime.wat2wasm(ECHO))


def compile_in_child(given: bytes, *arguments: str) -> bytes:
    """What the child program writes; its environment is empty, as in the jail."""
    return subprocess.run(
        [*COMMAND, *arguments], input=given, stdout=subprocess.PIPE, env={}, cwd="/", timeout=60, check=False
    ).stdout


def test_native_code_runs_from_its_file(tmp_path: Path) -> None:
    made = precompile(WASM)
    path = tmp_path / "echo.native"
    path.write_bytes(made.native)

    outcome = run(load(path), "[1]", limits=Limits(), context={}, environment={})

    assert (made.shape, outcome.output) == (Shape.MEMORY_ABI, "[1]")


@pytest.mark.parametrize(
    ("wasm", "message"),
    [
        (b"", "not a WebAssembly module"),
        (b"(module)", "not a WebAssembly module"),
        (b"\0asm\x0d\0\1\0", "not components"),
        (WASM[:-3], "ends in the middle of a section"),
        (WASM[:20] + b"\xff" * 20, "more than 32 bits"),
        (b"\0asm\1\0\0\0\x03\xff\xff\xff\xff\xff", "more than 32 bits"),
    ],
)
def test_what_is_no_module_is_refused(wasm: bytes, message: str) -> None:
    with pytest.raises(ModuleRefused, match=message):
        precompile(wasm)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("(func)" * 20_001, "The module has 20003 functions; at most 20000 are allowed."),
        ("(table 1 funcref)" * 5, "The module has 5 tables; at most 4 are allowed."),
        (f"(func (local {'i32 ' * 10_001}))", "has 10001 locals; at most 10000 are allowed."),
        (f"(func {'(drop (i32.const 1))' * 700_000})", "has 2100002 bytes; at most"),
        ("(memory 1)", "The module has 2 memories; at most 1 are allowed."),
    ],
    ids=["functions", "tables", "locals", "function", "memories"],
)
def test_a_module_that_would_cost_the_compiler_too_much_is_refused(more: str, message: str) -> None:
    wasm = bytes(wasmtime.wat2wasm(memory_abi("(i64.const 0)", more=more)))
    with pytest.raises(ModuleRefused) as refused:
        precompile(wasm)

    assert message in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "(module (memory 1 1 shared))",
        "(module (memory i64 1))",
        "(module (type (struct)))",
        "(module (tag))",
    ],
)
def test_what_the_engine_has_switched_off_is_refused(text: str) -> None:
    with pytest.raises(ModuleRefused):
        precompile(bytes(wasmtime.wat2wasm(text)))


def test_a_module_without_a_shape_is_refused_with_its_exports() -> None:
    with pytest.raises(UnsupportedModule, match="It exports nothing"):
        precompile(bytes(wasmtime.wat2wasm("(module)")))


def test_a_seal_holds_for_its_bytes_its_identity_and_its_key() -> None:
    mac = seal(b"native", KEY, "digest:configuration")
    verify(b"native", mac, KEY, "digest:configuration")

    for native, given, key, identity in (
        (b"nativE", mac, KEY, "digest:configuration"),
        (b"native", mac[:-1] + bytes([mac[-1] ^ 1]), KEY, "digest:configuration"),
        (b"native", mac, KEY[::-1], "digest:configuration"),
        (b"native", mac, KEY, "digest:other"),
        (b"nnative", mac, KEY, "digest:configuratio"),
    ):
        with pytest.raises(NativeCodeRefused):
            verify(native, given, key, identity)


def test_every_flipped_byte_is_refused() -> None:
    native = precompile(WASM).native
    mac = seal(native, KEY, "echo")
    for at in range(0, len(native), 97):
        flipped = bytearray(native)
        flipped[at] ^= 0x40
        with pytest.raises(NativeCodeRefused):
            verify(bytes(flipped), mac, KEY, "echo")


def test_native_code_of_another_configuration_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "foreign.native"
    path.write_bytes(wasmtime.Module(wasmtime.Engine(), WASM).serialize())

    with pytest.raises(NativeCodeRefused):
        load(path)


def test_the_child_makes_native_code_from_text_and_from_a_module(tmp_path: Path) -> None:
    from_text = parse_reply(compile_in_child(ECHO.encode(), "--wat"))
    from_wasm = parse_reply(compile_in_child(WASM))

    assert from_text == from_wasm
    assert from_text == Precompiled(WASM, from_text.native, b"", Shape.MEMORY_ABI, configuration_key())
    path = tmp_path / "echo.native"
    path.write_bytes(from_text.native)
    assert run(load(path), "{}", limits=Limits(), context={}, environment={}).output == "{}"


@pytest.mark.parametrize(
    ("given", "arguments", "message"),
    [
        (b"(module\n  (func (i32.cons 1)))", ["--wat"], "source.wat:2:10: unknown operator or unexpected token"),
        (b"(module \xff", ["--wat"], "source.wat:1:1: input was not valid utf-8"),
        (b"(module (func (result i32) i64.const 1))", ["--wat"], "source.wat:1:1: type mismatch: expected i32"),
        (b"(module)", ["--wat"], "source.wat:1:1: The module must export"),
        (b"nonsense", [], "This is not a WebAssembly module"),
        # Its size and its kind are looked at before what it says of its lines.
        (b"\0asm\x0d\0\1\0\0\x0c\x0b.debug_line", [], "Only core WebAssembly modules of version 1 run here"),
    ],
)
def test_the_child_says_what_is_wrong_and_where(given: bytes, arguments: list[str], message: str) -> None:
    with pytest.raises(PrecompileFailed) as failed:
        parse_reply(compile_in_child(given, *arguments))

    assert str(failed.value).startswith(message)


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"no header",
        b"[]\n",
        b"\xff\n",
        b'{"ok": true}\n',
        b'{"ok": true, "shape": "MEMORY_ABI", "wasm_bytes": 1, "native_bytes": 9, "lines_bytes": 0}\nabc',
        b'{"ok": true, "shape": "MEMORY_ABI", "wasm_bytes": -1, "native_bytes": 4, "lines_bytes": 0}\nabc',
        b'{"ok": true, "shape": "OTHER", "wasm_bytes": 1, "native_bytes": 2, "lines_bytes": 0}\nabc',
        b'{"ok": true, "shape": ["x"], "wasm_bytes": 1, "native_bytes": 2, "lines_bytes": 0}\nabc',
        b'{"ok": true, "shape": "MEMORY_ABI", "configuration": "other", "wasm_bytes": 1, "native_bytes": 2, '
        b'"lines_bytes": 0}\nabc',
        b"[" * 30_000 + b"\n",
    ],
)
def test_a_reply_that_the_child_did_not_mean_is_refused(reply: bytes) -> None:
    with pytest.raises(PrecompileFailed):
        parse_reply(reply)


def test_the_child_runs_in_an_isolated_interpreter() -> None:
    assert COMMAND[:2] == (sys.executable, "-I")
