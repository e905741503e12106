"""Whether what a guest answered is JSON that everybody can read back."""

import json
import math
import re
from collections.abc import Iterable
from typing import NoReturn

from app.wasm.guest import Ended
from app.wasm.outcome import Failure, Verdict

# Everybody who reads an answer does so from deeper in the stack than this, and Python's reader recurses.
_DEPTH = 500
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def json_text(answer: bytes) -> str:
    """The guest's `answer` as JSON text without surrounding space; raises `Ended` with INVALID_OUTPUT."""
    try:
        return checked(answer.decode())
    except UnicodeDecodeError as error:
        message = f"it is not UTF-8 at byte {error.start}"
        raise invalid(message) from None


def checked(text: str) -> str:
    """`text` without surrounding space if it is one JSON value; raises `Ended` with INVALID_OUTPUT."""
    text = text.strip(" \t\r\n")
    if not text:
        raise invalid("it is empty")
    try:
        value = json.loads(text, parse_constant=_constant, parse_float=_float, parse_int=_int)
        _check_depth(value, text)
        if _ESCAPED_SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        message = f"{error.msg} at line {error.lineno} column {error.colno}"
        raise invalid(message) from None
    except RecursionError:
        raise invalid("it is nested too deeply") from None
    except UnicodeEncodeError:
        raise invalid("a string holds half of a surrogate pair") from None
    except ValueError as error:
        raise invalid(str(error)) from None
    return text


def _check_depth(value: object, text: str) -> None:
    if text.count("[") + text.count("{") <= _DEPTH:
        return
    level: list[object] = [value]
    for _ in range(_DEPTH):
        level = [inner for outer in level for inner in _members(outer) if isinstance(inner, dict | list)]
        if not level:
            return
    raise RecursionError


def _members(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _constant(name: str) -> NoReturn:
    message = f"{name} is not JSON"
    raise ValueError(message)


def _float(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError("a number is too large")
    return number


def _int(digits: str) -> int:
    try:
        return int(digits)
    except ValueError:
        raise ValueError("an integer has too many digits") from None


def invalid(reason: str) -> Ended:
    """INVALID_OUTPUT for an answer that is not JSON, and why."""
    return Ended(Verdict(Failure.INVALID_OUTPUT, f"The function's output is not JSON: {reason}."))


def not_a_result(reason: str) -> Ended:
    """INVALID_OUTPUT for an answer that is not even text."""
    return Ended(Verdict(Failure.INVALID_OUTPUT, reason))


def too_large(limit_bytes: int) -> Ended:
    """OUTPUT_TOO_LARGE for more than `limit_bytes` of output."""
    return Ended(Verdict(Failure.OUTPUT_TOO_LARGE, f"The output is larger than its limit of {limit_bytes} bytes."))
