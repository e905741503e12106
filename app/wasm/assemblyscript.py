"""Invokes a module of AssemblyScript's own string ABI, as `asc --exportRuntime` makes it.

A string is UTF-16LE; before its first unit stand its class id (at -8) and its length in bytes (at -4).
"""

import wasmtime

from app.wasm.assemblyscript_host import STRING_CLASS
from app.wasm.guest import Guest
from app.wasm.output import checked, not_a_result, too_large


def invoke(guest: Guest, instance: wasmtime.Instance, text: str) -> str:
    """Hands `text` to the guest and returns its answer as JSON text; raises what ended the guest otherwise."""
    given = text.encode("utf-16-le", errors="surrogatepass")
    at = guest.call(instance, "__new", len(given), STRING_CLASS)
    # The collector may run in `handle`, and nothing else refers to the input.
    at = guest.call(instance, "__pin", at)
    guest.write(at, given)
    return checked(_string(guest, guest.call(instance, "handle", at)))


def _string(guest: Guest, pointer: int) -> str:
    if pointer == 0:
        raise not_a_result("The function returned null instead of a string.")
    class_id, length = guest.read_u32(pointer - 8), guest.read_u32(pointer - 4)
    guest.check(pointer, length)
    limit = guest.limits.output_bytes
    # UTF-8 has at least as many bytes as UTF-16 has units.
    if length > 2 * limit:
        raise too_large(limit)
    if class_id != STRING_CLASS:
        raise not_a_result("The function did not return a string.")
    try:
        text = guest.read(pointer, length).decode("utf-16-le")
    except UnicodeDecodeError:
        raise not_a_result("The function returned a string that is not valid UTF-16.") from None
    if len(text.encode()) > limit:
        raise too_large(limit)
    return text
