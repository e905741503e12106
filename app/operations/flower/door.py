"""`/flower`: our door to Flower. It is outside of the API's document, because what is behind it is Flower's own."""

from collections.abc import Iterator, Mapping
from http.client import HTTPResponse
from typing import Final
from urllib.parse import quote

from flask import Blueprint, Response, request

from app.addresses import flower_socket
from app.http.blueprints import platform
from app.http.correlation import HEADER, correlation_id
from app.operations.flower.upstream import FlowerConnection, FlowerError
from app.rules import Role, Scope, rule

blueprint = Blueprint("flower", __name__)

#: What the errors of this door are on the wire.
PROBLEMS: Final[Mapping[type[Exception], str]] = {FlowerError: "unavailable"}

#: Those that Flower knows; Flask adds HEAD and OPTIONS.
METHODS: Final = ("GET", "POST")

#: The one script that stands in a page of Flower's: `var autorefresh = 1`.
_AUTOREFRESH: Final = "'sha256-A0YIP5A+DKoseGAUTHRoMPDkKPK5cKzfYH3mjcCKtj8='"

#: Flower's pages load from here alone; they have styles in their elements and pictures in their style sheets. Nobody
#: may put them into a frame, where a click on one of their buttons could be stolen.
POLICY: Final = (
    f"default-src 'self'; script-src 'self' {_AUTOREFRESH}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)

#: They belong to a connection and not to what is sent over it (RFC 9110, section 7.6.1).
_OF_THE_CONNECTION: Final = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)

#: What lets a user in here is not Flower's to know, and the body is read whole before it goes on.
_NOT_FOR_FLOWER: Final = frozenset({"cookie", "authorization", "content-length", "expect"})

#: Without accounts of its own Flower opens its answers to every site's pages, and sets a cookie that it never reads.
_NOT_FROM_FLOWER: Final = frozenset(
    {"server", "date", "set-cookie"} | {f"access-control-allow-{what}" for what in ("origin", "headers", "methods")}
)

_CHUNK_BYTES: Final = 65_536


@blueprint.route("/flower", methods=METHODS)
@blueprint.route("/flower/<path:page>", methods=METHODS)
@rule(Scope.OPERATIONS_WRITE, role=Role.ADMIN, action="operations.flower", has_token=False, is_page=True)
def flower(page: str = "") -> Response:
    """What Flower answers."""
    connection = FlowerConnection(flower_socket(platform().settings.home))
    # Where there is a page there is its head, though Flower does not know that.
    method = "GET" if request.method == "HEAD" else request.method
    answer = connection.ask(method, _target(page), _request_headers(), request.get_data())
    response = Response(_chunks(answer), answer.status, _response_headers(answer), direct_passthrough=True)
    response.call_on_close(answer.close)
    response.call_on_close(connection.close)
    return response


def _target(page: str) -> str:
    path, query = quote(f"/flower/{page}"), quote(request.query_string, safe="%&=+;,/:?@!$'()*~")
    return f"{path}?{query}" if query else path


def _request_headers() -> dict[str, str]:
    passed = _passed(list(request.headers.items()), _NOT_FOR_FLOWER)
    return dict(passed) | {HEADER: correlation_id()}


def _response_headers(answer: HTTPResponse) -> list[tuple[str, str]]:
    return [*_passed(answer.getheaders(), _NOT_FROM_FLOWER), ("Content-Security-Policy", POLICY)]


def _passed(headers: list[tuple[str, str]], kept_back: frozenset[str]) -> list[tuple[str, str]]:
    """Those headers that go further: neither kept back, nor the connection's, nor named by it as its own."""
    named = {
        word.strip().lower() for name, value in headers if name.lower() == "connection" for word in value.split(",")
    }
    return [(name, value) for name, value in headers if name.lower() not in _OF_THE_CONNECTION | kept_back | named]


def _chunks(answer: HTTPResponse) -> Iterator[bytes]:
    while chunk := answer.read(_CHUNK_BYTES):
        yield chunk
