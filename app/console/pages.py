"""What all rooms of the console are made of: the blueprint, a page, and what is said where something is refused. Each
form is a request of its own and each answer a whole page, so that they work without scripts.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, Final

from flask import Blueprint, Response, make_response, render_template, request, url_for
from werkzeug.exceptions import HTTPException

from app.accounts.domain import AccountError, NotFound
from app.accounts.guard import caller, csrf_token, knows_caller

blueprint = Blueprint("console", __name__, url_prefix="/console", template_folder="templates", static_folder="static")

#: No script, nothing from elsewhere, and no frame of anybody's.
POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

MOST_SHOWN: Final = 200

View = Callable[..., Any]


def told(view: View) -> View:
    """Show what a service refuses as a page, the one that was asked from."""

    @wraps(view)
    def tell(*arguments: Any, **named: Any) -> Any:
        try:
            return view(*arguments, **named)
        except AccountError as error:
            text = str(error) or (type(error).__doc__ or "").splitlines()[0]
            status = 404 if isinstance(error, NotFound) else 422
            return page("problem.html", status=status, message=text[:1].upper() + text[1:], back=_back())

    return tell


@blueprint.after_request
def protect(response: Response) -> Response:
    """What every page says of itself."""
    response.headers.setdefault("Content-Security-Policy", POLICY)
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
    response.headers.setdefault("Referrer-Policy", "same-origin")
    if request.endpoint != "console.static":
        response.headers["Cache-Control"] = "no-store"
    return response


@blueprint.errorhandler(HTTPException)
def problem(error: HTTPException) -> Response:
    """An error under the console is a page."""
    return page("problem.html", status=error.code or 500, message=error.name, back=url_for("console.home"))


def page(template: str, *, status: int = 200, **shown: Any) -> Response:
    """A page, with what each of them has."""
    me = caller() if knows_caller() else None
    return make_response(render_template(template, me=me, csrf=csrf_token(), **shown), status)


def _back() -> str:
    return url_for("console.everybody") if "/account" not in request.path else url_for("console.account")
