"""Every language does the same: one function each, which does what its input asks for (`conformance/`)."""

import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.toolchains import LANGUAGES
from app.toolchains.toolchain import Compiled
from app.wasm.limits import Limits
from app.wasm.lines import without_lines
from app.wasm.outcome import Failure, Outcome
from app.wasm.progress import Reported
from tests.toolchains.running import SHARED, Compilation, compiled, execute

FOLDER = Path(__file__).parent / "conformance"
#: What is written as text or comes as a binary has no library, no clock and no log of its own to be alike in.
WRITTEN_BY_HAND = {"wat", "wasm"}
SUITE = sorted(LANGUAGES.keys() - WRITTEN_BY_HAND)

CONTEXT = {"executionId": "0198", "functionId": "0197", "version": 3, "attempt": 1, "correlationId": "c-1"}
ENVIRONMENT = {"GREETING": "Grüß Gott", "EMPTY": ""}
VALUES: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    0.1,
    1e308,
    5e-324,
    9007199254740991,
    -9007199254740991,
    "",
    'a"b\\c/d\b\f\n\r\t\x01\x7f',
    "ÄÖ ß € 日本語 😀 \u2028",
    [],
    {},
    [[[]], {"": [None, {"a": {}}]}],
    {"ключ": "значение", "with space": 1, "a\nb": 2},
    "x" * 1_000_000,
    list(range(20_000)),
]


def source(language: str) -> bytes:
    return (FOLDER / f"{language}.{LANGUAGES[language].extension}").read_bytes()


def line_of(language: str, comment: str) -> int:
    lines = source(language).decode().splitlines()
    return next(number for number, line in enumerate(lines, 1) if comment in line)


@pytest.fixture(scope="module", params=SUITE)
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def function(language: str) -> Compilation:
    return compiled(language, source(language))


def ask(function: Compilation, deed: str, **more: Any) -> Outcome:
    limits = Limits(timeout_ms=2000 if deed == "loop" else 20_000, memory_bytes=64 << 20)
    text = json.dumps({"do": deed, **more}, ensure_ascii=False)
    return execute(function, text, limits=limits, context=CONTEXT, environment=ENVIRONMENT)


def answer(function: Compilation, deed: str, **more: Any) -> Any:
    outcome = ask(function, deed, **more)
    assert outcome.output is not None, outcome
    return json.loads(outcome.output)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:20])
def test_json_of_every_kind_comes_back_as_it_went(function: Compilation, value: Any) -> None:
    assert answer(function, "echo", value=value) == value


def test_what_is_printed_is_in_the_log(function: Compilation) -> None:
    outcome = ask(function, "log")
    assert outcome.output == "null"
    assert {line.removeprefix("error: ") for line in outcome.logs.splitlines()} == {"printed", "complained"}


def test_the_environment_is_the_languages_own(function: Compilation) -> None:
    assert answer(function, "environment", name="GREETING") == "Grüß Gott"
    assert answer(function, "environment", name="EMPTY") == ""
    assert answer(function, "environment", name="PATH") is None


def test_the_context_is_known(function: Compilation) -> None:
    context = answer(function, "context")
    assert context.pop("deadlineMs") > 1_700_000_000_000
    assert context == CONTEXT


def test_an_error_has_its_message_and_its_place(function: Compilation, language: str) -> None:
    outcome = ask(function, "fail")
    assert (outcome.output, outcome.failure) == (None, Failure.FUNCTION_ERROR)
    assert outcome.message is not None
    assert "order 7 is unknown" in outcome.message
    assert _line(outcome.location) == f"source.{LANGUAGES[language].extension}:{line_of(language, 'fails here')}"


def test_a_fault_has_its_place(function: Compilation, language: str) -> None:
    outcome = ask(function, "trap")
    assert outcome.failure in {Failure.TRAP, Failure.FUNCTION_ERROR}
    assert _line(outcome.location) == f"source.{LANGUAGES[language].extension}:{line_of(language, 'traps here')}"


def _line(location: str | None) -> str | None:
    return None if location is None else ":".join(location.split(":")[:2])


@pytest.mark.parametrize(
    ("deed", "failure"),
    [
        ("loop", Failure.TIMEOUT),
        ("memory", Failure.OUT_OF_MEMORY),
        ("recursion", Failure.STACK_OVERFLOW),
        ("output", Failure.OUTPUT_TOO_LARGE),
    ],
)
def test_a_bomb_is_bounded(function: Compilation, deed: str, failure: Failure) -> None:
    outcome = ask(function, deed)
    assert (outcome.output, outcome.failure) == (None, failure), outcome.message


def test_how_far_it_has_come_is_seen_while_it_goes_on(function: Compilation) -> None:
    reported = Reported()
    limits = Limits(timeout_ms=500, memory_bytes=64 << 20)
    outcome = execute(function, json.dumps({"do": "loop"}), limits=limits, reported=reported)
    assert outcome.failure is Failure.TIMEOUT
    assert reported.latest is not None
    assert (reported.latest.percent, reported.latest.message) == (40, "halfway")
    assert "::progress 40 halfway\n" in outcome.logs


def test_clocks_are_coarse(function: Compilation) -> None:
    for reading in answer(function, "clock"):
        assert reading == round(reading)


def test_there_are_no_files(function: Compilation) -> None:
    outcome = ask(function, "file")
    assert outcome.failure is Failure.FUNCTION_ERROR
    assert outcome.message is not None
    assert "there are no files" in outcome.message


def test_chance_differs_between_executions(function: Compilation) -> None:
    assert len({answer(function, "random") for _ in range(5)}) == 5


def test_the_same_source_makes_the_same_module(
    function: Compilation, language: str, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given that some time has passed since it was compiled: what archives keep of a time has steps of two seconds
    time.sleep(max(0.0, function.made_at + 2.1 - time.time()))
    # When the same source is compiled in a directory of another name and length
    monkeypatch.setattr(tempfile, "tempdir", str(elsewhere))
    again = LANGUAGES[language].compile(source(language), shared=SHARED)
    # Then neither shows: module, lines and layer have the same bytes, and what is written of their making is equal
    assert _kept(again) == _kept(function.compiled)


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """Where no job has been before, and which users of the jail reach."""
    with tempfile.TemporaryDirectory(prefix="somewhere-else-altogether-") as folder:
        path = Path(folder)
        path.chmod(0o711)
        yield path


def _kept(made: Compiled) -> tuple[object, ...]:
    """What becomes of it in the database: what a compiler says of its own paths is not in it."""
    module = made.wasm if made.native else without_lines(made.wasm)
    return module, made.layer, made.toolchain, made.toolchain_version, made.flags
