"""What forms send, read by the schemas of the API, and what is wrong with it, told at the form."""

from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from typing import Any, Final

from flask import Response, request
from marshmallow import Schema, ValidationError

from app.accounts.api import PROBLEMS as ACCOUNT_PROBLEMS
from app.accounts.credential_api import PROBLEMS as CREDENTIAL_PROBLEMS
from app.accounts.domain import AccountError
from app.console.pages import Refused
from app.environments.api import PROBLEMS as ENVIRONMENT_PROBLEMS
from app.environments.domain import EnvironmentFault
from app.http.problems import PROBLEMS, note

View = Callable[..., Any]

_CODES: Final[Mapping[type[Exception], str]] = {
    Exception: "internal_error",
    ValidationError: "validation_error",
    **ACCOUNT_PROBLEMS,
    **CREDENTIAL_PROBLEMS,
    **ENVIRONMENT_PROBLEMS,
}

#: Whoever is refused with one of these can do something about it at the form.
_TOLD_AT_FORM: Final = frozenset({409, 412, 413, 422})

_MISSING: Final = "Missing data for required field."


def text(name: str) -> str | None:
    """A field without the space around it; None where nothing was filled in."""
    return request.form.get(name, "").strip() or None


def number(name: str) -> int | str | None:
    """A field as a number; what is none is left for the schema to refuse."""
    sent = text(name)
    return int(sent) if sent is not None and sent.isascii() and sent.isdecimal() and len(sent) < 10 else sent


def day(name: str) -> str | None:
    """A day as the time at which it begins."""
    sent = text(name)
    return None if sent is None else f"{sent}T00:00:00Z"


def read(schema: type[Schema], **sent: Any) -> dict[str, Any]:
    """What was sent, by the names on the wire, as the API reads it; None is what was left out. Raises
    ValidationError.
    """
    body: dict[str, Any] = schema().load({name: value for name, value in sent.items() if value is not None})
    return body


def told_at(form: str, room: Callable[..., Response]) -> Callable[[View], View]:
    """Say what is refused at the form that asked for it, in its room, which is given what the address names. `form` may
    name that too: `rotate-{key_id}`.
    """

    def attach(view: View) -> View:
        @wraps(view)
        def ask(**named: Any) -> Any:
            try:
                return view(**named)
            except (ValidationError, AccountError, EnvironmentFault) as error:
                code = _code(error)
                if PROBLEMS[code][0] not in _TOLD_AT_FORM:
                    raise
                note(code)
                return room(**named, refused=refusal(form.format(**named), error, request.form))

        return ask

    return attach


def refusal(form: str, error: Exception, sent: Mapping[str, str]) -> Refused:
    """What an error says of a form."""
    if isinstance(error, ValidationError):
        found = dict(_by_field(error.messages))
        return Refused(form, found or {"": "This could not be read."}, sent)
    said = str(error) or (type(error).__doc__ or "").splitlines()[0]
    field = _last_name(getattr(error, "pointer", ""))
    return Refused(form, {field: said[:1].upper() + said[1:]}, sent)


def _code(error: Exception) -> str:
    return next(_CODES[kind] for kind in type(error).__mro__ if kind in _CODES)


def _by_field(messages: Any, field: str = "") -> Iterator[tuple[str, str]]:
    """The first message of each field; those of a list's items are its own."""
    match messages:
        case dict():
            for name, inner in messages.items():
                yield from _by_field(inner, name if isinstance(name, str) and name != "_schema" else field)
        case [first, *_]:
            yield from _by_field(first, field)
        case _:
            yield field, "Fill this in." if messages == _MISSING else str(messages)


def _last_name(pointer: str) -> str:
    return next((part for part in reversed(pointer.split("/")) if part and not part.isdecimal()), "")
