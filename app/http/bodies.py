"""JSON in and out, to the letter: strict where JSON is ambiguous, and members that users own are kept exactly as they
were written.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Any

import orjson
from flask import Request, Response, current_app
from flask.json.provider import JSONProvider
from marshmallow import RAISE, Schema, ValidationError, fields
from webargs.flaskparser import FlaskParser

from app.http.problems import Problem
from app.http.wire import NO_NUL

#: Deeper nesting than anybody writes; recursive readers down the way stay far from their own limits.
MAX_DEPTH = 32

#: So much of a name is repeated to whoever sent it.
_LONGEST_NAME = 100

#: Python reads no longer ones, because it would take quadratic time.
LONGEST_INTEGER = 4300

_SPACE = re.compile(r"[ \t\n\r]*")


class Document(dict[str, Any]):
    """A JSON object, with the text of each member as it was sent in `texts`."""

    def __init__(self, members: dict[str, Any], texts: dict[str, str]) -> None:
        super().__init__(members)
        self.texts = texts


def parse(body: bytes) -> Document:
    """Read a JSON object. Refuses invalid UTF-8, duplicate names, NaN and Infinity, trailing data and nesting deeper
    than `MAX_DEPTH`.
    """
    try:
        text = body.decode()
        document = _object(text)
    except UnicodeDecodeError:
        raise _malformed("The body is not UTF-8.") from None
    except RecursionError:
        raise _malformed(f"The body is nested deeper than {MAX_DEPTH} levels.") from None
    except json.JSONDecodeError as error:
        raise _malformed(f"Line {error.lineno}, column {error.colno}: {error.msg}.") from None
    except ValueError as error:
        raise _malformed(f"{error}.") from None
    if _depth_exceeds(document, MAX_DEPTH):
        raise _malformed(f"The body is nested deeper than {MAX_DEPTH} levels.")
    return document


def _malformed(detail: str) -> Problem:
    return Problem("malformed_json", detail)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        counts = Counter(name for name, _ in pairs)
        twice = next(name for name, count in counts.items() if count > 1)
        msg = f"The name {twice[:_LONGEST_NAME]!r} appears twice in one object"
        raise ValueError(msg)
    return members


def _refuse_constant(name: str) -> None:
    msg = f"{name} is not JSON"
    raise ValueError(msg)


def _integer(digits: str) -> int:
    if len(digits.lstrip("-")) > LONGEST_INTEGER:
        msg = f"An integer has more than {LONGEST_INTEGER} digits"
        raise ValueError(msg)
    return int(digits)


_decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_int=_integer)


def _object(text: str) -> Document:
    position = _expect(text, 0, "{")
    pairs: list[tuple[str, Any]] = []
    texts: dict[str, str] = {}
    if text[position : position + 1] == "}":
        position += 1
    else:
        for name, value, written, end in _members(text, position):
            pairs.append((name, value))
            texts[name] = written
            position = end
    if _skip_space(text, position) != len(text):
        raise json.JSONDecodeError("Extra data", text, position)
    return Document(_unique(pairs), texts)


def _members(text: str, position: int) -> Iterator[tuple[str, Any, str, int]]:
    while True:
        if text[position : position + 1] != '"':
            raise json.JSONDecodeError("Expecting a name in double quotes", text, position)
        name, position = _decoder.raw_decode(text, position)
        begin = _expect(text, position, ":")
        value, end = _decoder.raw_decode(text, begin)
        position = _skip_space(text, end)
        closed = text[position : position + 1] == "}"
        yield name, value, text[begin:end], position + 1
        if closed:
            return
        position = _expect(text, position, ",")


def _expect(text: str, position: int, mark: str) -> int:
    position = _skip_space(text, position)
    if text[position : position + 1] != mark:
        wanted = "a JSON object" if mark == "{" else repr(mark)
        raise json.JSONDecodeError(f"Expecting {wanted}", text, position)
    return _skip_space(text, position + 1)


def _skip_space(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _depth_exceeds(value: Any, most: int) -> bool:
    level = [value]
    for _ in range(most):
        level = [
            child
            for one in level
            if isinstance(one, dict | list)
            for child in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return False
    return any(isinstance(one, dict | list) for one in level)


@cache
def _instance(schema: type[Schema]) -> Schema:
    return schema()


class BodyParser(FlaskParser):
    """webargs with our reading of JSON; members and query parameters that nobody asked for are refused, not ignored."""

    DEFAULT_UNKNOWN_BY_LOCATION: dict[str, str | None] = {"json": None, "query": RAISE}  # noqa: RUF012 - webargs declares it so

    def _get_schema(self, argmap: Any, req: Request) -> Any:
        """One instance for each class: making one takes longer than reading a small body with it."""
        return _instance(argmap) if isinstance(argmap, type) else super()._get_schema(argmap, req)

    def load_json(self, req: Request, schema: Any) -> Any:
        """The request's JSON object; no body at all is an empty one."""
        if not req.content_type and not req.get_data(cache=True):
            return Document({}, {})
        if req.mimetype != "application/json" or req.mimetype_params.get("charset", "utf-8").lower() not in {
            "utf-8",
            "utf8",
        }:
            raise Problem("unsupported_media_type", "Send the body as application/json in UTF-8.")
        return parse(req.get_data(cache=True))


#: Any JSON value that PostgreSQL's JSON functions can read, for the API's document.
_TEXT = {"type": "string", "pattern": NO_NUL}
_REFERENCE = {"$ref": "#/components/schemas/JsonValue"}
JSON_VALUE = {
    "description": "Any JSON value without the character U+0000.",
    "anyOf": [
        {"type": ["null", "boolean", "number"]},
        _TEXT,
        {"type": "array", "items": _REFERENCE},
        {"type": "object", "propertyNames": _TEXT, "additionalProperties": _REFERENCE},
    ],
}


#: PostgreSQL's JSON functions cannot read it, so searches over executions would stumble.
NUL_REFUSED = "The character U+0000 cannot be stored."


class JsonText(fields.Field[str]):
    """Any JSON value, kept as the text that was sent and answered as the text that is stored."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(metadata={"allOf": [_REFERENCE]} | kwargs.pop("metadata", {}), **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_kwargs: Any) -> str:
        text: str = data.texts[attr]
        if "\\u0000" in text and _holds_nul(value):
            raise ValidationError(NUL_REFUSED)
        return text

    def _serialize(self, value: str | None, attr: str | None, obj: Any, **_kwargs: Any) -> Any:
        return None if value is None else orjson.Fragment(value)


class JsonTexts(fields.Field[list[str]]):
    """An array of any JSON values, each kept as the text that was sent."""

    def __init__(self, *, most: int, **kwargs: Any) -> None:
        described = {"type": "array", "items": _REFERENCE, "minItems": 1, "maxItems": most}
        super().__init__(metadata=described | kwargs.pop("metadata", {}), **kwargs)
        self._most = most

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_kwargs: Any) -> list[str]:
        if not isinstance(value, list) or not 1 <= len(value) <= self._most:
            raise ValidationError(f"It is an array of 1 to {self._most} values.")
        text: str = data.texts[attr]
        if "\\u0000" in text:
            _refuse_nuls(value)
        return list(_elements(text))


def _refuse_nuls(values: list[Any]) -> None:
    holding = [place for place, value in enumerate(values) if _holds_nul(value)]
    if holding:
        raise ValidationError({place: [NUL_REFUSED] for place in holding})


def _elements(text: str) -> Iterator[str]:
    """The texts of the elements of an array that has some and was found to be valid."""
    position, end = 0, len(text) - 1
    while position < end:
        begin = _skip_space(text, position + 1)
        _, after = _decoder.raw_decode(text, begin)
        yield text[begin:after]
        position = _skip_space(text, after)


def _holds_nul(value: Any) -> bool:
    match value:
        case str():
            return "\0" in value
        case dict():
            return any("\0" in name or _holds_nul(child) for name, child in value.items())
        case list():
            return any(_holds_nul(child) for child in value)
        case _:
            return False


class OrjsonProvider(JSONProvider):
    """Flask's JSON by orjson, which can embed stored JSON text without reading it."""

    def dumps(self, obj: Any, **_kwargs: Any) -> str:
        """Compact JSON."""
        return orjson.dumps(obj, option=orjson.OPT_UTC_Z).decode()

    def loads(self, s: str | bytes, **_kwargs: Any) -> Any:
        """Plain JSON."""
        return orjson.loads(s)

    def response(self, *args: Any, **kwargs: Any) -> Response:
        """A JSON response without the detour over text."""
        return current_app.response_class(
            orjson.dumps(self._prepare_response_obj(args, kwargs), option=orjson.OPT_UTC_Z), mimetype="application/json"
        )
