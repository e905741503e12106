"""Where these tests keep what compilations share, and how they run what was compiled: once, in the real runtime."""

import sys
from pathlib import Path

import wasmtime

from app.wasm.engine import engine
from app.wasm.limits import Limits
from app.wasm.outcome import Outcome
from app.wasm.run import run

#: Building it takes a minute, so it stays with what is installed.
SHARED = Path(sys.prefix) / "toolchains"

_LIMITS = Limits(timeout_ms=10_000, memory_bytes=64 << 20)


def call(wasm: bytes, text: str) -> Outcome:
    """Call the module's handle with a text."""
    return run(wasmtime.Module(engine(), wasm), text, limits=_LIMITS, context={}, environment={})
