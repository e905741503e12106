"""What is special to JavaScript: modules read once, promises, timers, and an engine that all functions share."""

import json
from typing import Any

import pytest

from app.wasm.limits import Limits
from app.wasm.outcome import Failure, Outcome
from tests.toolchains.running import compiled, execute, refused


def invoke(source: str, given: Any = None, **limits: int) -> Outcome:
    function = compiled("javascript", source.encode())
    return execute(function, json.dumps(given), limits=Limits(memory_bytes=64 << 20, **limits))


def answer(source: str, given: Any = None) -> Any:
    outcome = invoke(source, given)
    assert outcome.output is not None, outcome
    return json.loads(outcome.output)


@pytest.mark.parametrize(
    "source",
    [
        "export default function (input) { return input + 1; }",
        "export default (input) => input + 1;",
        "export function handle(input) { return input + 1; }",
        "export async function handle(input) { return input + 1; }",
        "const add = (input) => input + 1;\nexport { add as handle };",
    ],
)
def test_a_handle_is_exported_in_any_way(source: str) -> None:
    assert answer(source, 41) == 42


@pytest.mark.parametrize(
    ("source", "place", "message"),
    [
        ("export default function (input) {\n  return input +;\n}", "source.js:2:", "SyntaxError"),
        ("const answer = 42;", "source.js:1:1", "there is no `export default function handle(input, context)`"),
        ("export default 42;", "source.js:1:1", "there is no `export default"),
        ("import fs from 'node:fs';\nexport default () => 1;", "source.js:1:1", "there is no module 'node:fs'"),
        ("const a = 1;\nnull.member;\nexport default () => 1;", "source.js:2:", "TypeError"),
        ("await new Promise(() => {});\nexport default () => 1;", "source.js:1:1", "nothing will settle"),
        ("throw {code: 7};", "source.js:1:1", "{ code: 7 }"),
    ],
)
def test_a_source_that_cannot_be_read_says_why(source: str, place: str, message: str) -> None:
    said = refused("javascript", source).diagnostics
    assert said.startswith(place)
    assert message in said


def test_what_is_printed_while_the_source_is_read_is_in_the_log_of_the_compilation() -> None:
    made = compiled("javascript", b"console.log('once'); export default () => 1;")
    assert made.compiled.log == "once"
    assert execute(made, "null").logs == ""


def test_what_is_made_outside_of_the_handle_is_there_in_every_execution_as_it_was() -> None:
    function = compiled("javascript", b"let calls = 0; export default () => (calls += 1);")
    assert [execute(function, "null").output for _ in range(3)] == ["1", "1", "1"]


def test_two_functions_share_the_engine_and_nothing_else() -> None:
    one = compiled("javascript", b"globalThis.secret = 'one'; export default () => globalThis.secret;")
    other = compiled("javascript", b"export default () => typeof globalThis.secret;")
    assert one.compiled.wasm == other.compiled.wasm
    assert [execute(one, "1").output, execute(other, "1").output] == ['"one"', '"undefined"']


def test_timers_and_promises_are_waited_for() -> None:
    source = """
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
export default async () => {
  const said = [];
  setTimeout(() => said.push("second"), 20);
  setTimeout(() => said.push("first"), 10);
  clearTimeout(setTimeout(() => said.push("never"), 5));
  await pause(30);
  return said;
};"""
    assert answer(source) == ["first", "second"]


def test_a_timer_ends_at_the_deadline() -> None:
    outcome = invoke("export default () => new Promise((done) => setTimeout(done, 60000));", timeout_ms=200)
    assert outcome.failure is Failure.TIMEOUT
    assert outcome.duration_ms < 2000


@pytest.mark.parametrize(
    ("body", "message", "line"),
    [
        ("throw new TypeError('no such order')", "TypeError: no such order", 2),
        ("throw 'plain'", "plain", None),
        ("return Promise.reject(new Error('late'))", "Error: late", 2),
        ("await null; throw new Error('later')", "Error: later", 2),
        ("return new Promise(() => {})", "a promise is awaited that nothing will settle", None),
        ("return 10n", "TypeError", None),
        ("const a = {}; a.a = a; return a", "TypeError: circular reference", None),
        ("throw new Error('why', {cause: new Error('because')})", "Error: why (because of Error: because", 2),
    ],
)
def test_an_error_is_told(body: str, message: str, line: int | None) -> None:
    outcome = invoke(f"export default async function handle() {{\n  {body};\n}}")
    assert outcome.failure is Failure.FUNCTION_ERROR
    assert (outcome.message or "").startswith(message)
    if line is not None:
        assert (outcome.location or "").startswith(f"source.js:{line}:")


@pytest.mark.parametrize(
    ("body", "message", "line"),
    [
        ("return new Promise(r => { Promise.resolve().then(() => { null.x }) })", "TypeError: cannot read", 2),
        ("Promise.reject(new Error('lost'));\n  return new Promise(() => {})", "Error: lost", 2),
    ],
)
def test_what_was_rejected_says_why_nothing_will_settle(body: str, message: str, line: int) -> None:
    outcome = invoke(f"export default function handle() {{\n  {body};\n}}")
    assert outcome.failure is Failure.FUNCTION_ERROR
    assert (outcome.message or "").startswith(message)
    assert (outcome.location or "").startswith(f"source.js:{line}:")


def test_memory_that_is_lacking_in_a_promise_is_told_as_such() -> None:
    body = "Promise.resolve().then(() => { const a = []; for (;;) a.push(new Uint8Array(1 << 20)); })"
    outcome = invoke(f"export default () => new Promise(() => {{ {body} }})")
    assert outcome.failure is Failure.OUT_OF_MEMORY, outcome


def test_a_rejection_that_nobody_caught_is_in_the_log() -> None:
    outcome = invoke("export default () => { Promise.reject(new Error('lost')); return 1; }")
    assert outcome.output == "1"
    assert "Nobody caught this: Error: lost" in outcome.logs
    caught = "const p = Promise.reject(new Error('caught')); await null; await p.catch(() => {}); return 1;"
    assert invoke(f"export default async () => {{ {caught} }}").logs == ""


def test_authors_may_replace_what_the_platform_uses() -> None:
    source = "JSON.parse = JSON.stringify = () => 'stolen'; Math.random = null; export default (input) => input;"
    assert answer(source, {"a": 1}) == {"a": 1}


def test_the_console_shows_values() -> None:
    source = """
export default () => {
  console.log("a", 1, -0, 10n, null, undefined, [1, "b"], { a: { b: [] }, "c d": new Date(0) });
  console.warn(new Map([["k", new Set([1])]]), /x/g, Symbol("s"), class A {});
  const ring = {}; ring.ring = ring; console.error(ring);
  console.group("outer"); console.info("inner"); console.groupEnd(); console.assert(1 > 2, "held");
  console.count(); console.count("x"); console.table([1]);
};"""
    assert invoke(source).logs.splitlines() == [
        'a 1 -0 10n null undefined [ 1, "b" ] { a: { b: [] }, "c d": 1970-01-01T00:00:00.000Z }',
        'warning: Map { "k" => Set { 1 } } /x/g Symbol(s) [Function A]',
        "error: { ring: [Circular] }",
        "outer",
        "  inner",
        "error: Assertion failed: held",
        "default: 1",
        "x: 1",
        "[ 1 ]",
    ]


def test_text_and_bytes_and_chance() -> None:
    source = """
export default (text) => {
  const bytes = new TextEncoder().encode(text);
  const uuid = crypto.randomUUID();
  const random = crypto.getRandomValues(new Uint8Array(600));
  return [new TextDecoder().decode(bytes), [...bytes].slice(-4), new TextDecoder().decode(Uint8Array.of(0xff, 0x41)),
    /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(uuid), new Set(random).size > 100,
    atob(btoa("kiln"))];
};"""
    assert answer(source, "Ä€😀") == ["Ä€😀", [0xF0, 0x9F, 0x98, 0x80], "\ufffdA", True, True, "kiln"]
