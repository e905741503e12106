"""Strong entity tags and `If-Match` (RFC 9110)."""

from flask import request

from app.http.problems import Problem


def if_match() -> str | None:
    """The tag that the caller requires, `*`, or none; raises `precondition_failed` where only weak tags were sent."""
    header = request.if_match
    if not request.headers.get("If-Match"):
        return None
    if header.star_tag:
        return "*"
    tags = list(header.as_set())
    if len(tags) != 1:
        raise Problem("precondition_failed", "Send exactly one strong entity tag in If-Match.")
    return str(tags[0])
