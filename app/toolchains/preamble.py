"""The first eight bytes of a WebAssembly binary."""

MODULE = b"\0asm\x01\x00\x00\x00"
_COMPONENT = b"\0asm\x0d\x00\x01\x00"


def fault(wasm: bytes) -> str | None:
    """Why these bytes are not a module of WebAssembly version 1, or None if they begin like one."""
    if wasm.startswith(MODULE):
        return None
    if not wasm:
        return "the source is empty"
    if wasm.startswith(_COMPONENT):
        return "this is a component, not a module: components cannot be run here"
    if wasm.startswith(MODULE[:4]):
        return "this is not WebAssembly version 1"
    return "this is not a WebAssembly binary: it does not begin with \\0asm"
