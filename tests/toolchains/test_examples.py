"""Every example compiles, runs, and does what it says."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from app.toolchains.assemblyscript import AssemblyScript
from app.wasm.outcome import Failure
from tests.toolchains import running
from tests.toolchains.running import Compilation, execute

FOLDER = Path(__file__).parents[2] / "examples"
EXAMPLES: list[dict[str, Any]] = json.loads((FOLDER / "examples.json").read_text())["examples"]


@cache
def compiled(file: str, language: str) -> Compilation:
    return running.compiled(language, (FOLDER / file).read_bytes())


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: str(example["name"]))
def test_an_example_answers_what_it_promises(assemblyscript: AssemblyScript, example: dict[str, Any]) -> None:
    outcome = execute(compiled(example["file"], example["language"]), json.dumps(example["input"]))
    assert outcome.output is not None, outcome
    assert json.loads(outcome.output) == example["output"]


def test_names_are_names_of_functions_and_each_file_is_listed_once() -> None:
    names = [example["name"] for example in EXAMPLES]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}", name) for name in names)
    files = {str(path.relative_to(FOLDER)) for path in FOLDER.glob("*/*")}
    assert sorted(example["file"] for example in EXAMPLES) == sorted(files)


@pytest.mark.parametrize(
    ("text", "greeting"),
    [
        ("{}", "Hello, world"),
        ('{"other": [1], "name" : "Grüße \\"du\\" \\\\"}', 'Hello, Grüße "du" \\'),
        ('{"name": 7}', "Hello, world"),
        ('{"name": ""}', "Hello, "),
    ],
)
def test_the_greeting_in_text_survives_any_input(text: str, greeting: str) -> None:
    outcome = execute(compiled("wat/greet.wat", "wat"), text)
    assert outcome.output is not None
    assert json.loads(outcome.output) == {"greeting": greeting}


def test_the_echo_grows_its_memory_and_ends_at_the_limit() -> None:
    echo = compiled("wat/echo.wat", "wat")
    assert execute(echo, f'"{"x" * 900_000}"').output == f'"{"x" * 900_000}"'


def test_the_primes_refuse_a_limit_that_is_too_large(assemblyscript: AssemblyScript) -> None:
    outcome = execute(compiled("assemblyscript/primes.ts", "assemblyscript"), '{"limit": 100000000}')
    assert outcome.failure is Failure.FUNCTION_ERROR
    assert outcome.location is not None
    assert outcome.location.startswith("source.ts:22:")
