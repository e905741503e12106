"""Invokes a WASI command: JSON on standard input, JSON on standard output, standard error to the log."""

import wasmtime

from app.wasm.guest import Exited, Guest
from app.wasm.output import json_text


def invoke(guest: Guest, instance: wasmtime.Instance, text: str) -> str:
    """Runs `_start` and returns what it wrote as JSON text; raises what ended the guest otherwise."""
    guest.stdin = text.encode(errors="replace")
    guest.stdout = bytearray()
    try:
        guest.start(instance, "_start")
    except Exited as end:
        if end.code:
            raise
    return json_text(bytes(guest.stdout))
