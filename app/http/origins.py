"""Which pages a browser's request may come from. What changes something is taken from our own only: a browser sends it
along with whatever lets the user in, no matter whose page asked for it.
"""

from flask import request

from app.http.problems import Problem

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

#: Values of Sec-Fetch-Site (Fetch Metadata) that no other page can bring about: our page's, and the user's own doing.
_OURS = frozenset({"same-origin", "none"})


def refuse_foreign_pages() -> None:
    """Raise `csrf_failed` for an unsafe method that another site's page asks for. Programs send neither header."""
    if request.method in SAFE_METHODS:
        return
    if request.headers.get("Sec-Fetch-Site", "none") not in _OURS or _origin_host() != request.host:
        raise Problem("csrf_failed", "Only pages of this server may ask for this.")


def _origin_host() -> str:
    """Host and port of the page that asks; those of this server where none is named."""
    origin = request.headers.get("Origin")
    return request.host if origin is None else origin.partition("://")[2]
