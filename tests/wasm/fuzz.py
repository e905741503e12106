"""Modules that nobody would write, and what becomes of them: one of the documented ends.

    python -m tests.wasm.fuzz ROUNDS [SEED]

Half of them are valid by construction, with random code; the others are modules of ours with bytes changed, doubled or
cut. The tests run a few of both, this program as many as are asked for. A crash of the engine is a crash of this.
"""

import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator

import wasmtime

from app.wasm.engine import engine
from app.wasm.errors import WasmError
from app.wasm.limits import MIB, Limits
from app.wasm.native import precompile
from app.wasm.run import run
from tests.wasm.modules import ECHO, answering, assemblyscript, command, memory_abi, wasi

_LIMITS = Limits(timeout_ms=50, memory_bytes=4 * MIB, output_bytes=MIB, log_bytes=10_000)
_SEEDS = (
    ECHO,
    answering(b'{"ok": true}'),
    command("(call $proc_exit (i32.const 0))", imports=wasi("proc_exit")),
    assemblyscript("(i32.const 0)"),
)
_DEPTH = 6
_TYPES = ("i32", "i64", "f32", "f64")


def changed(chance: random.Random) -> bytes:
    """A module of ours after a few accidents."""
    wasm = bytearray(wasmtime.wat2wasm(chance.choice(_SEEDS)))
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(8, len(wasm))
        accident = chance.randrange(4)
        if accident == 0:
            wasm[at] = chance.randrange(256)
        elif accident == 1:
            del wasm[at : at + chance.randint(1, 8)]
        elif accident == 2:
            wasm[at:at] = wasm[at : at + chance.randint(1, 16)]
        else:
            wasm[at:at] = bytes(chance.randrange(256) for _ in range(chance.randint(1, 4)))
        if len(wasm) <= 8:
            break
    return bytes(wasm)


def invented(chance: random.Random) -> bytes:
    """A valid module with random code."""
    code = " ".join(_statement(chance, _DEPTH) for _ in range(chance.randint(1, 8)))
    locals_ = " ".join(f"(local $l{type_} {type_})" for type_ in _TYPES)
    helpers = "".join(
        f"(func $f{type_} (param ${type_} {type_}) (result {type_}) {locals_} {_expression(chance, type_, 3)})"
        for type_ in _TYPES
    )
    table = "(table $t 4 funcref) (elem (i32.const 0) $fi32 $fi64) (type $i (func (param i32) (result i32)))"
    body = f"{locals_} {code} {_expression(chance, 'i64', _DEPTH)}"
    return bytes(wasmtime.wat2wasm(memory_abi(body, more=helpers + table + "(global $g (mut i32) (i32.const 9))")))


def _expression(chance: random.Random, type_: str, depth: int) -> str:
    """Code that leaves one value of a type."""
    if depth <= 0 or chance.random() < 0.2:
        return chance.choice((f"(local.get $l{type_})", f"({type_}.const {_number(chance, type_)})"))
    return chance.choice(_INTEGER if type_[0] == "i" else _FLOAT)(chance, type_, depth - 1)


def _number(chance: random.Random, type_: str) -> str:
    if type_[0] == "f":
        return chance.choice(("nan", "inf", "-inf", "-0", "1.5", "0x1p-149", "1e30"))
    return str(chance.choice((0, 1, -1, 7, 1 << 31, (1 << int(type_[1:])) - 1, chance.getrandbits(16))))


def _one(name: str) -> Callable[[random.Random, str, int], str]:
    return lambda chance, type_, depth: f"({type_}.{name} {_expression(chance, type_, depth)})"


def _two(name: str) -> Callable[[random.Random, str, int], str]:
    return lambda c, type_, depth: f"({type_}.{name} {_expression(c, type_, depth)} {_expression(c, type_, depth)})"


def _read(chance: random.Random, type_: str, depth: int) -> str:
    return f"({type_}.load offset={chance.choice((0, 0, 1, 60_000))} {_address(chance, depth)})"


def _address(chance: random.Random, depth: int) -> str:
    """Where there is memory, nearly always."""
    value = _expression(chance, "i32", depth)
    return value if chance.random() < 0.01 else f"(i32.and {value} (i32.const 0xfff))"


def _chosen(chance: random.Random, type_: str, depth: int) -> str:
    condition = _expression(chance, "i32", depth)
    first, second = (_expression(chance, type_, depth) for _ in range(2))
    if chance.random() < 0.5:
        return f"(select (result {type_}) {first} {second} {condition})"
    return f"(if (result {type_}) {condition} (then {first}) (else {second}))"


def _called(chance: random.Random, type_: str, depth: int) -> str:
    if type_ == "i32" and chance.random() < 0.3:
        return f"(call_indirect (type $i) {_expression(chance, 'i32', depth)} {_expression(chance, 'i32', depth)})"
    return f"(call $f{type_} {_expression(chance, type_, depth)})" if depth > 3 else f"(local.get $l{type_})"


def _whole(chance: random.Random, type_: str, depth: int) -> str:
    return {
        "i32": f"(i32.wrap_i64 {_expression(chance, 'i64', depth)})",
        "i64": f"(i64.extend_i32_s {_expression(chance, 'i32', depth)})",
        "f32": f"(f32.demote_f64 {_expression(chance, 'f64', depth)})",
        "f64": f"(f64.reinterpret_i64 {_expression(chance, 'i64', depth)})",
    }[type_]


_SHARED = (_read, _chosen, _called, _whole)
_INTEGER = (
    *map(
        _two,
        (
            "add",
            "sub",
            "mul",
            "and",
            "or",
            "xor",
            "shl",
            "shr_s",
            "shr_u",
            "rotl",
            "rotr",
            "add",
            "mul",
            "div_s",
            "rem_u",
        ),
    ),
    *map(_one, ("clz", "ctz", "popcnt", "extend8_s")),
    *_SHARED,
)
_FLOAT = (
    *map(_two, ("add", "mul", "div", "min", "copysign")),
    *map(_one, ("sqrt", "nearest", "neg")),
    *_SHARED,
)


def _statement(chance: random.Random, depth: int) -> str:
    """Code that leaves nothing."""
    type_ = chance.choice(_TYPES)
    value, number = _expression(chance, type_, depth - 1), _expression(chance, "i32", 2)
    kinds = [
        f"({type_}.store {_address(chance, 2)} {value})",
        f"(drop (memory.grow {number}))",
        f"(memory.fill {_address(chance, 1)} {number} {_address(chance, 1)})",
        f"(memory.copy {_address(chance, 1)} {_address(chance, 2)} {_address(chance, 1)})",
        f"(global.set $g {number})",
        f"(local.set $l{type_} {value})",
    ]
    if depth > 1:
        kinds.append(f"(block $b (loop $a {_statement(chance, depth - 2)} (br_if $a {number}) (br $b)))")
    return chance.choice(kinds)


def ends(seed: int, rounds: int) -> Iterator[str]:
    """What becomes of so many modules: `refused`, `completed`, or how they failed."""
    chance = random.Random(seed)
    for _ in range(rounds):
        for wasm in (changed(chance), invented(chance)):
            yield _end(wasm)


def _end(wasm: bytes) -> str:
    try:
        made = precompile(wasm)
    except WasmError:
        return "refused"
    module = wasmtime.Module.deserialize(engine(), made.native)
    outcome = run(module, "{}", limits=_LIMITS, context={}, environment={})
    assert (outcome.output is None) != (outcome.failure is None)
    return "completed" if outcome.failure is None else str(outcome.failure)


if __name__ == "__main__":
    print(dict(Counter(ends(int(sys.argv[2]) if len(sys.argv) > 2 else 1, int(sys.argv[1])))))
