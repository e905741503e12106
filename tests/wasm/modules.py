"""Modules written by hand, and how the tests run them."""

import wasmtime

from app.wasm.engine import engine
from app.wasm.limits import Limits
from app.wasm.outcome import Outcome
from app.wasm.run import run

ECHO_HANDLE = """
(func (export "handle") (param $p i32) (param $n i32) (result i64)
  (i64.or (i64.shl (i64.extend_i32_u (local.get $p)) (i64.const 32)) (i64.extend_i32_u (local.get $n))))
"""
ALLOC = '(func (export "alloc") (param i32) (result i32) (i32.const 1024))'
MEMORY = '(memory (export "memory") 1)'

ECHO = f"(module {MEMORY} {ALLOC} {ECHO_HANDLE})"


def memory_abi(body: str, *, imports: str = "", memory: str = MEMORY, more: str = "") -> str:
    """A module whose `handle` is `body`, with `$p` and `$n` for the input."""
    handle = f'(func $handle (export "handle") (param $p i32) (param $n i32) (result i64) {body})'
    return f"(module {imports} {memory} {ALLOC} {more} {handle})"


def data(at: int, content: bytes) -> str:
    """A data segment."""
    return f'(data (i32.const {at}) "{"".join(map(_escaped, content))}")'


def _escaped(byte: int) -> str:
    return f"\\{byte:02x}"


def answering(content: bytes) -> str:
    """A module that answers `content` whatever it is given."""
    pages = 1 + (8192 + len(content)) // 65536
    return memory_abi(
        f"(i64.const {8192 << 32 | len(content)})",
        memory=f'(memory (export "memory") {pages})',
        more=data(8192, content),
    )


WASI_TYPES = {
    "fd_write": "(param i32 i32 i32 i32) (result i32)",
    "fd_read": "(param i32 i32 i32 i32) (result i32)",
    "poll_oneoff": "(param i32 i32 i32 i32) (result i32)",
    "proc_exit": "(param i32)",
    "random_get": "(param i32 i32) (result i32)",
    "clock_time_get": "(param i32 i64 i32) (result i32)",
    "environ_get": "(param i32 i32) (result i32)",
    "environ_sizes_get": "(param i32 i32) (result i32)",
    "fd_renumber": "(param i32 i32) (result i32)",
    "path_open": "(param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)",
}


def wasi(*names: str) -> str:
    """Imports of WASI's functions, each under its own name."""
    return " ".join(f'(import "wasi_snapshot_preview1" "{n}" (func ${n} {WASI_TYPES[n]}))' for n in names)


def command(body: str, *, imports: str = "", more: str = "") -> str:
    """A WASI command whose `_start` is `body`."""
    return f'(module {imports} {MEMORY} {more} (func (export "_start") {body}))'


# Reads all of standard input (up to 32 KiB) to 4096 and writes it to standard output.
COMMAND_ECHO = command(
    """
    (i32.store (i32.const 0) (i32.const 4096)) (i32.store (i32.const 4) (i32.const 32768))
    (drop (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
    (i32.store (i32.const 4) (i32.load (i32.const 8)))
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
    """,
    imports=wasi("fd_read", "fd_write"),
)


def write_to(descriptor: int, at: int, length: int) -> str:
    """Instructions that write `length` bytes of memory to a descriptor."""
    return f"""
    (i32.store (i32.const 0) (i32.const {at})) (i32.store (i32.const 4) (i32.const {length}))
    (drop (call $fd_write (i32.const {descriptor}) (i32.const 0) (i32.const 1) (i32.const 8)))
    """


# The string ABI: `__new` puts a header of 20 bytes (class id at -8, length in bytes at -4) before what it returns.
ASSEMBLYSCRIPT_RUNTIME = """
(global $next (mut i32) (i32.const 4096))
(func (export "__new") (param $size i32) (param $class i32) (result i32) (local $at i32)
  (local.set $at (i32.add (global.get $next) (i32.const 20)))
  (global.set $next (i32.and (i32.add (i32.add (local.get $at) (local.get $size)) (i32.const 15)) (i32.const -16)))
  (i32.store (i32.sub (local.get $at) (i32.const 8)) (local.get $class))
  (i32.store (i32.sub (local.get $at) (i32.const 4)) (local.get $size))
  (local.get $at))
(func (export "__pin") (param $at i32) (result i32) (local.get $at))
(func (export "__unpin") (param $at i32))
"""


def assemblyscript(body: str, *, imports: str = "", more: str = "") -> str:
    """A module of AssemblyScript's string ABI whose `handle` is `body`, with `$s` for the input."""
    return f"""(module {imports} {MEMORY} {ASSEMBLYSCRIPT_RUNTIME} {more}
      (func (export "handle") (param $s i32) (result i32) {body}))"""


def utf16_at(pointer: int, text: str, class_id: int = 2) -> str:
    """A data segment that holds an AssemblyScript string with its header."""
    units = text.encode("utf-16-le")
    return data(pointer - 8, class_id.to_bytes(4, "little") + len(units).to_bytes(4, "little") + units)


def module_of(text: str) -> wasmtime.Module:
    """Compiles a module's text with this process's engine."""
    return wasmtime.Module(engine(), bytes(wasmtime.wat2wasm(text)))


def invoke(
    text: str,
    given: str = "{}",
    *,
    limits: Limits | None = None,
    context: dict[str, object] | None = None,
    environment: dict[str, str] | None = None,
) -> Outcome:
    """Compiles and runs a module's text once."""
    return run(module_of(text), given, limits=limits or Limits(), context=context or {}, environment=environment or {})
