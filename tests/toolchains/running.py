"""Where these tests keep what compilations share, and how they run what was compiled: in the real runtime."""

import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import wasmtime

from app.toolchains import LANGUAGES, CompileFailed
from app.toolchains.toolchain import Compiled
from app.wasm.engine import engine
from app.wasm.layer import Layer, Script, read
from app.wasm.limits import Limits
from app.wasm.lines import place_of, without_lines
from app.wasm.native import Program, load
from app.wasm.outcome import Outcome
from app.wasm.progress import Reported
from app.wasm.run import run

#: Building it takes a minute, so it stays with what is installed.
SHARED = Path(sys.prefix) / "toolchains"

#: Set where everything is to be tested, as in CI: then a language that is not there is an error.
_EVERY_LANGUAGE = bool(os.environ.get("TEST_EVERY_LANGUAGE"))

#: What no package among the requirements brings, so that a machine may lack it.
OPTIONAL = ("rust",)

_LIMITS = Limits(timeout_ms=10_000, memory_bytes=64 << 20)


def lacking(language: str) -> str | None:
    """Why an optional language cannot be tested on this machine."""
    return LANGUAGES[language].missing() if language in OPTIONAL else None


def need(language: str) -> None:
    """Skip the test where an optional language is lacking, unless every language is to be tested."""
    if (reason := lacking(language)) is None:
        return
    if _EVERY_LANGUAGE:
        pytest.fail(reason)
    pytest.skip(reason)


@dataclass(frozen=True)
class Compilation:
    """What a toolchain made, ready to be executed."""

    compiled: Compiled
    program: Program
    layer: Layer | Script | None
    lines: bytes
    made_at: float = field(default_factory=time.time)


def compiled(language: str, source: bytes) -> Compilation:
    """Compile a source, after all that its compilations share has been built."""
    need(language)
    toolchain = LANGUAGES[language]
    toolchain.prepare(SHARED)
    made = toolchain.compile(source, shared=SHARED)
    wasm, lines = (made.wasm, b"") if made.native else without_lines(made.wasm)
    program = load(made.native) if made.native else _module(wasm)
    return Compilation(made, program, None if made.layer is None else read(program, made.layer), lines)


def execute(
    function: Compilation,
    text: str,
    *,
    limits: Limits = _LIMITS,
    context: Mapping[str, object] | None = None,
    environment: Mapping[str, str] | None = None,
    reported: Reported | None = None,
) -> Outcome:
    """Call its handle with a text."""
    outcome = run(
        function.program,
        text,
        layer=function.layer,
        limits=limits,
        context=context or {},
        environment=environment or {},
        reported=reported,
    )
    place = outcome.location or place_of(function.lines, outcome.frames)
    return replace(outcome, location=place)


def refused(language: str, source: str) -> CompileFailed:
    """Compile a source that is none, and answer why."""
    toolchain = LANGUAGES[language]
    toolchain.prepare(SHARED)
    with pytest.raises(CompileFailed) as failed:
        toolchain.compile(source.encode(), shared=SHARED)
    return failed.value


def call(wasm: bytes, text: str) -> Outcome:
    """Call the module's handle with a text."""
    return run(_module(wasm), text, limits=_LIMITS, context={}, environment={})


_modules: dict[bytes, wasmtime.Module] = {}


def _module(wasm: bytes) -> wasmtime.Module:
    """Compiled once in a process: some are large, and shared by all functions of a language."""
    if wasm not in _modules:
        _modules[wasm] = wasmtime.Module(engine(), wasm)
    return _modules[wasm]
