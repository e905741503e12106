"""One function writes a secret wherever it can, the next looks for it wherever it can: nothing is ever found.

    python -m tests.wasm.leftovers ROUNDS

A round is both, as two functions and as one that does both. The tests do a few of them, this program as many as are
asked for.
"""

import sys
from collections import Counter
from collections.abc import Iterator

import wasmtime

from app.wasm.limits import MIB, Limits
from app.wasm.run import run
from tests.wasm.modules import memory_abi, module_of

_LIMITS = Limits(memory_bytes=4 * MIB)
_SECRET = "(i64.const 0x5a5a5a5a5a5a5a5a)"

_STATE = """
(table $table 16 64 funcref) (elem declare func $own) (func $own)
(global $whole (mut i64) (i64.const 0)) (global $float (mut f64) (f64.const 0))
"""
_GROW = "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))"
_END = "(i32.mul (memory.size) (i32.const 65536))"
#: By place: what writes a secret there.
_WRITE = {
    "memory": f"(memory.fill (i32.const 0) (i32.const 0x5a) {_END})",
    "size of a table": "(drop (table.grow $table (ref.func $own) (i32.const 48)))",
    "table": "(table.fill $table (i32.const 0) (ref.func $own) (i32.const 16))",
    "global": f"(global.set $whole {_SECRET})",
    "global of floating point": f"(global.set $float (f64.reinterpret_i64 {_SECRET}))",
}
_EVERYWHERE = " ".join(_WRITE.values())
_LOOK = f"""
(if (i32.ne (table.size $table) (i32.const 16)) (then unreachable))
(loop $entry
  (if (i32.eqz (ref.is_null (table.get $table (local.get $at)))) (then unreachable))
  (local.set $at (i32.add (local.get $at) (i32.const 1)))
  (br_if $entry (i32.lt_u (local.get $at) (i32.const 16))))
(if (i64.ne (global.get $whole) (i64.const 0)) (then unreachable))
(if (f64.ne (global.get $float) (f64.const 0)) (then unreachable))
(local.set $at (i32.const 0))
(loop $word
  (if (i64.eq (i64.load (local.get $at)) {_SECRET}) (then unreachable))
  (local.set $at (i32.add (local.get $at) (i32.const 8)))
  (br_if $word (i32.lt_u (local.get $at) {_END})))
"""
#: Answers `0`.
_ANSWER = f"(i32.store8 (i32.const 8) (i32.const 0x30)) (i64.const {8 << 32 | 1})"


def _module(code: str) -> str:
    return memory_abi(f"(local $at i32) {_GROW} {code} {_ANSWER}", more=_STATE)


WRITES, LOOKS, BOTH = _module(_EVERYWHERE), _module(_LOOK), _module(_LOOK + _EVERYWHERE)
#: Must fail: what looks where it has written itself.
FINDS = {place: _module(write + _LOOK) for place, write in _WRITE.items()}


def alternations(rounds: int) -> Iterator[str]:
    """How each execution of so many rounds ended."""
    both, writes, looks = map(module_of, (BOTH, WRITES, LOOKS))
    for _ in range(rounds):
        for module in (writes, looks, both):
            yield end(module)


def end(module: wasmtime.Module) -> str:
    """`completed`, or how an execution failed, which is what a find is."""
    outcome = run(module, "{}", limits=_LIMITS, context={}, environment={})
    return "completed" if outcome.output == "0" else str(outcome.failure)


if __name__ == "__main__":
    print(dict(Counter(alternations(int(sys.argv[1])))))
