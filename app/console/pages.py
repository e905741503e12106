"""What all rooms of the console are made of: the blueprint, pages and their parts, lists, and what is said where
something is refused.

A room is a page of parts. Without scripts each form is a request of its own, and its answer the whole page. With them
htmx sends the same form, and is answered the part that the form stands in, which then takes that part's place.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

from flask import Blueprint, Response, g, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from app.accounts.guard import caller, csrf_token, knows_caller
from app.http.cursors import DEFAULT_LIMIT, paged
from app.http.problems import CONTENT_TYPE
from app.http.protection import PAGE_POLICY
from app.rules import Scope

blueprint = Blueprint("console", __name__, url_prefix="/console", template_folder="templates", static_folder="static")

#: The blueprint of the ways to other providers and back, whose answers are pages, too.
PROVIDERS: Final = "oidc"

#: Whoever looks for somebody by a part of their name is shown so many.
MOST_FOUND: Final = 10

_LONGEST_SOUGHT: Final = 200
_LONGEST_NEXT: Final = 2000
_UNAUTHENTICATED: Final = 401

Fetch = Callable[[UUID | None, int], Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Room:
    """A page at `endpoint`, whose parts are the templates of its folder, in this order."""

    name: str
    endpoint: str
    parts: tuple[str, ...]

    def address(self, **ids: Any) -> str:
        """Where it is."""
        return url_for(self.endpoint, **ids)

    def again(self, **ids: Any) -> BaseResponse:
        """Look at it anew, after a change."""
        return redirect(self.address(**ids), 303)


@dataclass(frozen=True, slots=True)
class Refused:
    """What is wrong with what a form sent, by field; what is said of no field in particular has the name ''."""

    form: str
    messages: Mapping[str, str]
    sent: Mapping[str, str]


def show(
    room: Room,
    *,
    title: str,
    ids: Mapping[str, Any] | None = None,
    refused: Refused | None = None,
    along: Sequence[str] = (),
    **shown: Any,
) -> Response:
    """A room, or the part of it that is asked for, with those `along` that changed with it."""
    asked = request.headers.get("HX-Target", "").removesuffix("-found") if is_by_script() else ""
    template = "fragment.html" if asked in room.parts else "room.html"
    status = 200 if refused is None else 422
    shown |= {"room": room, "title": title, "here": room.address(**(ids or {})), "refused": refused}
    return page(template, status=status, asked=asked, along=along, **shown)


def page(template: str, *, status: int = 200, **shown: Any) -> Response:
    """A page, with what each of them has."""
    me = caller() if knows_caller() else None
    return make_response(render_template(template, me=me, csrf=csrf_token(), Scope=Scope, **shown), status)


def listed(fetch: Fetch, id_of: Callable[[Any], UUID] = lambda one: one.id) -> dict[str, Any]:
    """The page of a list that the address asks for: `items`, and the cursor of the next one."""
    return paged(fetch, {"cursor": request.args.get("cursor") or None, "limit": DEFAULT_LIMIT}, id_of)


def next_address() -> str:
    """Where to go once signed in: an address of ours that is not too long, whatever the link said."""
    wanted = request.values.get("next", "")
    # Browsers take a backslash for a slash, and leave out tabs and ends of lines.
    is_ours = wanted.startswith("/") and not wanted.startswith(("//", "/\\")) and wanted.isprintable()
    # Whoever is sent to a provider has it kept here until they come back.
    return wanted if is_ours and len(wanted) <= _LONGEST_NEXT else url_for("console.home")


def sought() -> str | None:
    """What somebody is looked for by."""
    return request.args.get("find", "").replace("\0", "").strip()[:_LONGEST_SOUGHT] or None


def leave_for(address: str) -> Response:
    """Have a script's page go elsewhere as a whole."""
    response = make_response("", 200)
    response.headers["HX-Redirect"] = address
    return response


@blueprint.after_app_request
def tell(response: Response) -> Response:
    """What is refused where people look is told by a page: problems are for programs."""
    if not _is_ours() or response.content_type != CONTENT_TYPE:
        return response
    said = response.get_json()
    if response.status_code == _UNAUTHENTICATED:
        said = {"title": "You are signed out", "detail": "Sign in to go on."}
    told = _problem(response.status_code, said["title"], said["detail"])
    response.set_data(told.get_data())
    response.content_type = told.content_type
    if is_by_script() and response.status_code == _UNAUTHENTICATED:
        response.headers["HX-Redirect"] = url_for("console.sign_in", next=_open_page())
    elif is_by_script():
        response.headers["HX-Retarget"], response.headers["HX-Reswap"] = "#notice", "innerHTML"
    return response


@blueprint.after_app_request
def protect(response: Response) -> Response:
    """What every page says of itself."""
    if not _is_ours():
        return response
    response.headers.setdefault("Content-Security-Policy", PAGE_POLICY)
    if request.endpoint != "console.static":
        response.vary.update(("HX-Request", "HX-Target"))
    return response


def _open_page() -> str:
    """The path of the page that htmx asks from."""
    try:
        return urlsplit(request.headers.get("HX-Current-URL", "")).path
    except ValueError:
        return ""


def _is_ours() -> bool:
    """Whether people are meant to look at the answer."""
    return request.blueprint == PROVIDERS or request.path == "/console" or request.path.startswith("/console/")


def is_by_script() -> bool:
    """Whether htmx asks, to put the answer into a page that is open."""
    return request.headers.get("HX-Request") == "true"


def _problem(status: int, title: str, detail: str) -> Response:
    # The database that could say who asks may be what is away.
    found = g.get("caller")
    me, csrf = (None, None) if found is None else (found.principal, csrf_token())
    template = "notice.html" if is_by_script() else "problem.html"
    text = render_template(template, me=me, csrf=csrf, Scope=Scope, heading=title, message=detail)
    return make_response(text, status)
