"""The correlation id: taken from the caller or made, on every response, in every log line, on every execution."""

import re

import structlog
from flask import Flask, Response, g, request
from structlog.contextvars import bind_contextvars, clear_contextvars

from app.identity import new_id

HEADER = "X-Correlation-Id"

#: Printable ASCII without spaces; anything else could forge log lines or break headers, and is replaced by one of ours.
ACCEPTED = re.compile(r"[\x21-\x7e]{1,128}")

log = structlog.get_logger()


def correlate_requests(app: Flask) -> None:
    """Bind the id before the request and return it with the response."""

    @app.before_request
    def take() -> None:
        sent = request.headers.get(HEADER, "")
        g.correlation_id = sent if ACCEPTED.fullmatch(sent) else str(new_id())
        clear_contextvars()
        bind_contextvars(correlation_id=g.correlation_id)

    @app.after_request
    def give(response: Response) -> Response:
        response.headers[HEADER] = g.get("correlation_id", "")
        return response


def correlation_id() -> str:
    """The id of the request that is being answered."""
    value: str = g.correlation_id
    return value
