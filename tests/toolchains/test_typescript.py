"""What is special to TypeScript: types are checked, and places are those of the author's own lines."""

import json

import pytest

from app.wasm.outcome import Failure
from tests.toolchains.running import compiled, execute, refused


@pytest.mark.parametrize(
    ("source", "line"),
    [
        (
            "export default () => {\n  const n: number = 'x';\n};",
            "source.ts:2:9: TS2322: Type 'string' is not assignable",
        ),
        ("export default (input) => input;", "source.ts:1:17: TS7006: Parameter 'input' implicitly has an 'any' type."),
        ("export default () => {", "source.ts:1:23: TS1005: '}' expected."),
        ("import fs from 'node:fs';\nexport default () => fs;", "source.ts:1:16: TS2307: there is no module 'node:fs'"),
        ("export const answer = 42;", "source.ts:1:1: there is no `export default function handle"),
        ("type A = 1;\n\nthrow new Error('never');\nexport default () => 1;", "source.ts:3:11: Error: never"),
    ],
)
def test_what_is_wrong_has_its_place(source: str, line: str) -> None:
    assert refused("typescript", source).diagnostics.startswith(line)


@pytest.mark.parametrize(
    "line",
    [
        '/// <reference path="/etc/passwd" />',
        '/// <reference types="/etc/hosts" />',
        "import * as stolen from '/etc/passwd';",
        "import type stolen from '../../../../../../etc/hosts';",
        "type Stolen = typeof import('/proc/self/environ');",
    ],
)
def test_a_source_cannot_read_the_machine(line: str) -> None:
    error = refused("typescript", f"{line}\nexport default () => 1;\n")
    assert "root:" not in error.diagnostics + error.log
    assert "localhost" not in error.diagnostics + error.log


def test_the_types_of_what_is_there_are_known() -> None:
    source = """
export default async function handle(input: { ms: number }, context: KilnContext): Promise<string> {
  await new Promise<void>((done) => setTimeout(done, input.ms));
  console.log(process.env.NAME ?? "nobody", performance.now() > 0, btoa("x"));
  return new TextDecoder().decode(new TextEncoder().encode(context.executionId)) + typeof crypto.randomUUID();
}"""
    outcome = execute(compiled("typescript", source.encode()), '{"ms": 1}', context={"executionId": "e-1"})
    assert outcome.output is not None, outcome
    assert json.loads(outcome.output) == "e-1string"
    assert outcome.logs == "nobody true eA==\n"


def test_an_error_thrown_far_below_types_has_the_line_that_the_author_sees() -> None:
    source = """interface A {
  a: number;
}

namespace Deep {
  export const thrower = (value: A): never => {
    throw new RangeError(`${value.a} is too deep`);
  };
}

export default (input: A) => Deep.thrower(input);
"""
    outcome = execute(compiled("typescript", source.encode()), '{"a": 7}')
    assert (outcome.failure, outcome.message) == (Failure.FUNCTION_ERROR, "RangeError: 7 is too deep")
    assert outcome.location == "source.ts:7:29"
