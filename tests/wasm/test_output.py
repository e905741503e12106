"""What counts as an answer."""

import pytest

from app.wasm.outcome import Failure
from tests.wasm.modules import answering, invoke


@pytest.mark.parametrize(
    "answer",
    [
        "{}",
        " null \n",
        '{"a": 1, "a": 2}',
        '"\\u0000"',
        '"\\ud83d\\ude00"',
        "-0",
        "1e300",
        '"é"',
        "9" * 4_000,
        "[" * 500 + "]" * 500,
        "[[]" + ",[]" * 1_000 + "]",
    ],
)
def test_json_text_is_an_answer_as_it_stands(answer: str) -> None:
    outcome = invoke(answering(answer.encode()))

    assert (outcome.failure, outcome.output) == (None, answer.strip())


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "it is empty"),
        (b"hello", "Expecting value at line 1 column 1"),
        (b"{} {}", "Extra data"),
        (b"NaN", "NaN is not JSON"),
        (b'{"a": -Infinity}', "-Infinity is not JSON"),
        (b"1e999", "a number is too large"),
        (b"9" * 100_000, "digits"),
        (b"[" * 1_000_000, "nested too deeply"),
        (b"[" * 501 + b"]" * 501, "nested too deeply"),
        (b'"\xff"', "not UTF-8 at byte 1"),
        (b'"\xed\xa0\x80"', "not UTF-8"),
        (b'"\x00"', "Invalid control character"),
        (b'"\\ud800"', "half of a surrogate pair"),
        (b"\xef\xbb\xbf{}", "BOM"),
    ],
    ids=lambda value: value[:12] if isinstance(value, bytes) else None,
)
def test_what_nobody_could_read_back_is_invalid_output(answer: bytes, reason: str) -> None:
    outcome = invoke(answering(answer))

    assert outcome.failure is Failure.INVALID_OUTPUT
    assert outcome.message is not None
    assert outcome.message.startswith("The function's output is not JSON: ")
    assert reason in outcome.message
