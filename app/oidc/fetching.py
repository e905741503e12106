"""One request to a provider: no redirect is followed, no proxy of the environment is asked, and what comes back is JSON
of a bounded size within a bounded time.
"""

import json
import socket
import ssl
import threading
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any, Final
from urllib.parse import urlsplit

from app.oidc.domain import Unavailable, Untrusted
from app.providers import is_protected

LARGEST_BYTES: Final = 256 * 1024

_CONNECT_SECONDS: Final = 5
#: From the request to the last byte of the answer.
_ANSWER_SECONDS: Final = 10

_TOO_MANY_REQUESTS: Final = 429


def fetch(url: str, *, body: str | None = None, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Get an object, or post a form for it. Raises Unavailable and Untrusted."""
    try:
        response, content = _answered(url, body, dict(headers or {}))
    except (OSError, HTTPException, ValueError) as error:
        raise Unavailable(f"{type(error).__name__} from {_host(url)}", is_silent=True) from error
    _check_status(response.status, _host(url))
    if len(content) > LARGEST_BYTES:
        raise Untrusted(f"more than {LARGEST_BYTES} bytes from {_host(url)}")
    kind = response.headers.get_content_type()
    try:
        read = json.loads(content) if kind == "application/json" or kind.endswith("+json") else None
    except (ValueError, RecursionError) as error:
        raise Untrusted(f"no JSON from {_host(url)}") from error
    if not isinstance(read, dict):
        raise Untrusted(f"no JSON object from {_host(url)}")
    return read


def _answered(url: str, body: str | None, headers: dict[str, str]) -> tuple[HTTPResponse, bytes]:
    if not is_protected(url):
        raise Untrusted(f"{_host(url)} is not asked without https")
    parts = urlsplit(url)
    headers |= {"Accept": "application/json", "Connection": "close", "User-Agent": "Kiln"}
    if body is not None:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    connection = _connection(parts.scheme, parts.hostname or "", parts.port)
    ending = None
    try:
        connection.connect()
        # A timeout of the socket starts anew with each byte.
        ending = threading.Timer(_ANSWER_SECONDS, _hang_up, [connection.sock])
        ending.daemon = True
        ending.start()
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("GET" if body is None else "POST", target, body, headers)
        with connection.getresponse() as response:
            content = response.read(LARGEST_BYTES + 1)
        if not ending.is_alive():
            raise TimeoutError
        return response, content
    finally:
        if ending is not None:
            ending.cancel()
        connection.close()


def _connection(scheme: str, host: str, port: int | None) -> HTTPConnection:
    if scheme == "https":
        return HTTPSConnection(host, port, timeout=_CONNECT_SECONDS, context=_authorities())
    return HTTPConnection(host, port, timeout=_CONNECT_SECONDS)


@cache
def _authorities() -> ssl.SSLContext:
    return ssl.create_default_context()


def _hang_up(connected: socket.socket) -> None:
    with suppress(OSError):
        connected.shutdown(socket.SHUT_RDWR)


def _check_status(status: int, host: str) -> None:
    if status >= 500 or status == _TOO_MANY_REQUESTS:
        raise Unavailable(f"{status} from {host}")
    if status != 200:
        raise Untrusted(f"{status} from {host}")


def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]
