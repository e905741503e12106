"""Invokes a module of the memory ABI: `alloc`, `handle(ptr, len) -> (ptr << 32) | len`, UTF-8 both ways."""

import wasmtime

from app.wasm.guest import Guest
from app.wasm.output import json_text, too_large

_U32 = 0xFFFF_FFFF


def invoke(guest: Guest, instance: wasmtime.Instance, text: str) -> str:
    """Hands `text` to the guest and returns its answer as JSON text; raises what ended the guest otherwise."""
    given = text.encode(errors="replace")
    at = guest.call(instance, "alloc", len(given))
    guest.write(at, given)
    packed = guest.call(instance, "handle", at, len(given))
    pointer, length = packed >> 32 & _U32, packed & _U32
    guest.check(pointer, length)
    if length > guest.limits.output_bytes:
        raise too_large(guest.limits.output_bytes)
    return json_text(guest.read(pointer, length))
