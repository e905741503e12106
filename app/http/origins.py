"""Which pages a browser's request may come from, and which names lead here.

What changes something is taken from our own pages only: a browser sends it along with whatever lets the user in, no
matter whose page asked for it. And a page that lets its own name lead to this machine (DNS rebinding) would be one of
ours as far as the browser can tell, so only our own names are answered.
"""

from collections.abc import Set as AbstractSet

from flask import Flask, request

from app.http.problems import Problem
from app.settings import ANY_HOST

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

#: Values of Sec-Fetch-Site (Fetch Metadata) that no other page can bring about: our page's, and the user's own doing.
_OURS = frozenset({"same-origin", "none"})


def refuse_foreigners(app: Flask, hosts: AbstractSet[str]) -> None:
    """Answer requests that come from other sites' pages, or call us by a name that is not in `hosts`, with problems."""

    @app.before_request
    def refuse() -> None:
        host = request.headers.get("Host")  # Every browser sends it.
        if host is not None and hosts != ANY_HOST and _name(host) not in hosts:
            raise Problem("misdirected_request", f"This server is not called {_name(host)!r}.")
        if request.method not in SAFE_METHODS and _is_of_another_site():
            raise Problem("csrf_failed", "Only pages of this server may ask for this.")


def names_our_origin() -> bool:
    """Whether a browser says that a page of ours asks; silence says nothing."""
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    return (site is not None or origin is not None) and site in {None, "same-origin"} and _origin_host() == request.host


def _is_of_another_site() -> bool:
    """Whether a browser says so. Programs send neither header."""
    return request.headers.get("Sec-Fetch-Site", "none") not in _OURS or _origin_host() != request.host


def _origin_host() -> str:
    """Host and port of the page that asks; those of this server where none is named."""
    origin = request.headers.get("Origin")
    return request.host if origin is None else origin.partition("://")[2]


def _name(host: str) -> str:
    """A host without its port; an address of IPv6 keeps its brackets."""
    name, _, port = host.rpartition(":")
    return (name if name and port.isdecimal() else host).lower().removesuffix(".")
