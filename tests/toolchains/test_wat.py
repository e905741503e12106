"""WebAssembly text and binaries."""

import pytest

from app.toolchains import CompileFailed, CompilerExceededOutput, CompilerTimedOut, toolchain
from app.toolchains.jail import JailLimits
from app.toolchains.wat import Wat
from tests.toolchains.running import SHARED

EMPTY_MODULE = b"\0asm\x01\x00\x00\x00"


def diagnostics(language: str, source: bytes) -> str:
    with pytest.raises(CompileFailed) as caught:
        toolchain(language).compile(source, shared=SHARED)
    return caught.value.diagnostics


@pytest.mark.parametrize("source", ["(module)", "\ufeff(module)", "\r\n(module) ;; ünï\r\n"])
def test_text_becomes_a_module(source: str) -> None:
    compiled = toolchain("wat").compile(source.encode(), shared=SHARED)
    assert compiled.wasm == EMPTY_MODULE
    assert compiled.toolchain_version.split(".")[0].isdigit()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (b"(module\r\n  (func (result i32)\n    i32.cnst 1))", "source.wat:3:5: unknown operator or unexpected token"),
        (b"(module (func call $x))", "source.wat:1:20: unknown func: failed to find name `$x`"),
        (b"(module (func)" + b" " * 1_000_000 + b"(foo))", "source.wat:1:1000016: expected valid module field"),
        (b"(module \0)", "source.wat:1:9: unexpected character '\\u{0}'"),
        (b"\xff", "source.wat:1:1: input was not valid utf-8"),
        (b" \n", "source.wat:1:1: the source is empty"),
        (b"(component)", "source.wat:1:1: this is a component, not a module: components cannot be run here"),
    ],
)
def test_faults_of_text_come_with_line_and_column(source: bytes, expected: str) -> None:
    assert diagnostics("wat", source) == expected


def test_a_module_that_grows_too_large_is_refused() -> None:
    with pytest.raises(CompilerExceededOutput):
        Wat(JailLimits(output_bytes=1000)).compile(
            b'(module (memory 1) (data (i32.const 0) "%s"))' % (b"a" * 2000), shared=SHARED
        )


def test_an_assembly_that_takes_too_long_is_ended() -> None:
    with pytest.raises(CompilerTimedOut, match=r"^source\.wat:1:1: compilation took longer than 0\.01 s$"):
        Wat(JailLimits(wall_ms=10)).compile(b"(module)", shared=SHARED)


def test_a_binary_is_taken_as_it_is() -> None:
    assert toolchain("wasm").compile(EMPTY_MODULE, shared=SHARED).wasm == EMPTY_MODULE


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (b"", "the source is empty"),
        (b"\0asm", "this is not WebAssembly version 1"),
        (b"\0asm\x0d\0\x01\0", "this is a component, not a module: components cannot be run here"),
        (b"(module)", "this is not a WebAssembly binary: it does not begin with \\0asm"),
    ],
)
def test_what_is_no_module_is_refused(source: bytes, reason: str) -> None:
    assert diagnostics("wasm", source) == f"source.wasm:1:1: {reason}"
