"""Errors as RFC 9457 problem details: clients switch on `code`, people read `detail`, operators search for
`correlationId`.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import structlog
from flask import Flask, Response, current_app, g, request
from psycopg import errors as database_errors
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from werkzeug.exceptions import HTTPException

log = structlog.get_logger()

#: Every code that the API answers, with its status and title. `docs/problems.md` explains each and is checked against
#: this table.
PROBLEMS: dict[str, tuple[int, str]] = {
    "malformed_json": (400, "The body is not acceptable JSON"),
    "malformed_cursor": (400, "The cursor is not one that a list gave"),
    "bad_request": (400, "The request is malformed"),
    "unauthenticated": (401, "Nobody has said who asks"),
    "sign_in_failed": (401, "E-mail address or password is wrong"),
    "forbidden": (403, "This is not allowed"),
    "scope_missing": (403, "The API key may not be used for this"),
    "csrf_failed": (403, "The request does not come from our own page"),
    "not_found": (404, "There is nothing here"),
    "method_not_allowed": (405, "The method is not allowed here"),
    "not_acceptable": (406, "No representation fits the Accept header"),
    "name_taken": (409, "The name is taken"),
    "email_taken": (409, "The e-mail address is taken"),
    "identity_taken": (409, "The identity is another user's"),
    "last_way_in": (409, "This identity is the last way into the account"),
    "last_administrator": (409, "This is the last administrator"),
    "environment_in_use": (409, "Functions use the environment"),
    "function_not_ready": (409, "The function cannot be executed yet"),
    "version_not_ready": (409, "The version was not built"),
    "version_superseded": (409, "There is a newer version"),
    "limit_reached": (409, "There are as many of these as there may be"),
    "execution_ended": (409, "The execution has ended already"),
    "idempotency_in_progress": (409, "The same request is still being executed"),
    "precondition_failed": (412, "The resource has changed"),
    "too_large": (413, "The request is too large"),
    "uri_too_long": (414, "The address is too long"),
    "unsupported_media_type": (415, "The body is not JSON"),
    "misdirected_request": (421, "The request is meant for another server"),
    "validation_error": (422, "The request does not fit the schema"),
    "unknown_reference": (422, "The request names something that does not exist"),
    "schedule_refused": (422, "The execution cannot begin then"),
    "idempotency_mismatch": (422, "The key was sent with another request"),
    "password_refused": (422, "The password does not protect an account"),
    "wrong_password": (422, "The current password is another one"),
    "expiry_refused": (422, "The key cannot end then"),
    "entry_refused": (422, "The environment cannot have this entry"),
    "unsupported": (422, "The request asks for what this server does not do"),
    "too_many_attempts": (429, "There were too many attempts"),
    "rate_limited": (429, "There were too many requests"),
    "quota_exceeded": (429, "As much waits as may"),
    "headers_too_large": (431, "The headers are too large"),
    "internal_error": (500, "Something went wrong here"),
    "unavailable": (503, "The service is not available"),
    "overloaded": (503, "There is more to do than can be done"),
    "insufficient_storage": (507, "There is no space left"),
}

_CODES = {status: code for code, (status, _) in reversed(list(PROBLEMS.items()))} | {
    400: "bad_request",
    409: "name_taken",
    422: "validation_error",
}

#: Where the documentation of a problem type stands, relative to the API.
TYPE = "/docs/problems#{code}"

CONTENT_TYPE = "application/problem+json"

RETRY_AFTER_SECONDS = 2

LONGEST_ADDRESS = 8192

_UNAUTHENTICATED = 401

#: Of all that is wrong with a body so much is told: an answer is not to be larger than what was asked.
_MOST_ERRORS = 100


class Problem(Exception):
    """A request that cannot be answered as asked."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        errors: list[dict[str, str]] | None = None,
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> None:
        super().__init__(detail)
        self.code, self.detail, self.errors, self.headers, self.members = code, detail, errors, headers or {}, members


def document(code: str, detail: str, *, correlation_id: str | None, **members: Any) -> dict[str, Any]:
    """The members of RFC 9457 and ours."""
    status, title = PROBLEMS[code]
    return {
        "type": TYPE.format(code=code),
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        "correlationId": correlation_id,
        **members,
    }


def note(code: str) -> None:
    """Remember what a request was refused for, however it is told, for whoever writes refusals down."""
    g.problem = code


def noted() -> str | None:
    """What this request was refused for."""
    code: str | None = g.get("problem")
    return code


def render(problem: Problem) -> Response:
    """The response that says it."""
    note(problem.code)
    errors = {} if problem.errors is None else {"errors": problem.errors}
    correlation_id = g.get("correlation_id")
    body = document(problem.code, problem.detail, correlation_id=correlation_id, **problem.members, **errors)
    headers = dict(problem.headers)
    if body["status"] == _UNAUTHENTICATED:
        headers["WWW-Authenticate"] = 'Bearer realm="Kiln"'
    return Response(current_app.json.dumps(body), body["status"], headers, content_type=CONTENT_TYPE)


def from_http_exception(error: HTTPException) -> Problem:
    """What Werkzeug, Flask and webargs raise. Headers such as `Allow` are kept."""
    status = error.code or 500
    messages = getattr(error, "data", {}).get("messages")
    if messages:
        errors = list(islice(_flattened(messages), _MOST_ERRORS))
        return Problem(
            "validation_error", errors[0]["message"] if errors else "The request does not fit the schema", errors=errors
        )
    headers = {
        name: value for name, value in error.get_headers() if name in {"Allow", "Retry-After", "WWW-Authenticate"}
    }
    code = _CODES.get(status, "bad_request" if status < 500 else "internal_error")
    return Problem(code, _DETAILS.get(code) or error.description or PROBLEMS[code][1], headers=headers)


#: Werkzeug's own sentences speak of URLs that were "entered manually"; these speak of this API.
_DETAILS = {
    "not_found": "No resource has this address.",
    "method_not_allowed": "This resource does not have that method; Allow lists those that it has.",
    "too_large": "The body is larger than this server takes.",
    "unsupported_media_type": "Send the body as application/json.",
}


def _flattened(messages: Any, pointer: str = "") -> Iterator[dict[str, str]]:
    """marshmallow's nested messages as a list with JSON Pointers (RFC 6901). The outermost key names the request's
    part.
    """
    match messages:
        case dict():
            for key, value in messages.items():
                inner = pointer if not pointer and key in {"json", "query", "_schema"} else f"{pointer}/{_escaped(key)}"
                yield from _flattened(value, inner.removesuffix("/_schema"))
        case list() | tuple():
            for value in messages:
                yield from _flattened(value, pointer)
        case _:
            yield {"pointer": pointer, "message": str(messages)}


def _escaped(key: object) -> str:
    """A name as a part of a JSON Pointer. Half of a surrogate pair cannot be written."""
    return str(key).encode(errors="replace").decode().replace("~", "~0").replace("/", "~1")


def _from_database(error: Exception) -> Problem | None:
    """Whether PostgreSQL is away, full or busy: then the caller asks again. Where the connection was lost between the
    commit and its answer, what was asked has been done, and nobody here knows.
    """
    cause = getattr(error, "orig", None)
    if isinstance(cause, database_errors.DiskFull):
        return Problem("insufficient_storage", "The database has no space left.", headers={"Retry-After": "60"})
    if isinstance(error, OperationalError | InterfaceError | PoolTimeoutError) or (
        isinstance(error, DBAPIError) and error.connection_invalidated
    ):
        headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
        return Problem("unavailable", "The database does not answer; ask again.", headers=headers)
    return None


def answer_as(app: Flask, codes: Mapping[type[Exception], str]) -> None:
    """Let the errors of a package become problems: their text is the detail, their data (limits and the like) are
    members, a `pointer` among it says which part of the request is meant, `retry_after_seconds` is a header, and so are
    `headers`.
    """

    def handle(error: Exception) -> Response:
        code = next(codes[cls] for cls in type(error).__mro__ if cls in codes)
        detail = (
            _DETAILS["not_found"] if code == "not_found" else str(error) or (type(error).__doc__ or "").splitlines()[0]
        )
        detail, members = detail[:1].upper() + detail[1:], dict(vars(error))
        if pointer := members.pop("pointer", None):
            members["errors"] = [{"pointer": pointer, "message": detail}]
        seconds = members.pop("retry_after_seconds", None)
        headers = members.pop("headers", {}) | ({} if seconds is None else {"Retry-After": str(seconds)})
        return render(Problem(code, detail, headers=headers, **members))

    for error_class in codes:
        app.register_error_handler(error_class, handle)


def answer_with_problems(app: Flask) -> None:
    """Every error of every route becomes a problem; an unexpected one is logged and says nothing of its cause."""

    @app.before_request
    def refuse_long_addresses() -> None:
        if len(request.full_path) > LONGEST_ADDRESS:
            raise Problem("uri_too_long", f"An address has at most {LONGEST_ADDRESS} characters.")

    @app.errorhandler(Problem)
    def problem(error: Problem) -> Response:
        return render(error)

    @app.errorhandler(HTTPException)
    def http_exception(error: HTTPException) -> Response:
        return render(from_http_exception(error))

    @app.errorhandler(Exception)
    def unexpected(error: Exception) -> Response:
        known = _from_database(error)
        if known is not None:
            log.warning("database.unavailable", error=str(error).splitlines()[0])
            return render(known)
        log.error("request.failed", exc_info=error)
        return render(Problem("internal_error", "The error was recorded under this correlation id."))
