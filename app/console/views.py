"""The console's pages. Each form is a request of its own and each answer a whole page, so that they work without
scripts; what happens is said by the same services as the API's.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, Final

from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as BaseResponse

from app.accounts import credentials, people
from app.accounts.domain import AccountError, NotFound, SignInFailed, TooManyAttempts
from app.accounts.guard import actor, caller, csrf_token, delete_cookie, knows_caller, set_cookie
from app.audit.domain import Via
from app.http.blueprints import platform
from app.identity import parse_id
from app.rules import Role, Scope, rule

blueprint = Blueprint("console", __name__, url_prefix="/console", template_folder="templates", static_folder="static")

#: No script, nothing from elsewhere, and no frame of anybody's.
POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

_MOST_SHOWN: Final = 200

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


@blueprint.get("/sign-in")
@rule(is_open=True)
def sign_in() -> Any:
    """Who are you?"""
    if knows_caller():
        return redirect(next_address())
    return page("sign_in.html", next=next_address())


@blueprint.post("/sign-in")
@rule(is_open=True)
def begin() -> Any:
    """Sign in."""
    try:
        begun = credentials.sign_in(
            platform(),
            actor(),
            email=request.form.get("email", ""),
            password=request.form.get("password", ""),
            user_agent=request.headers.get("User-Agent", ""),
        )
    except (SignInFailed, TooManyAttempts) as error:
        text = str(error) or (type(error).__doc__ or "")
        status = 429 if isinstance(error, TooManyAttempts) else 401
        return page(
            "sign_in.html", status=status, next=next_address(), email=request.form.get("email", ""), message=text
        )
    response = make_response(redirect(next_address(), 303))
    set_cookie(response, begun.token)
    return response


@blueprint.post("/sign-out")
@rule(action="session.delete", is_page=True)
@told
def sign_out() -> BaseResponse:
    """Sign out."""
    session_id = caller().actor.credential_id
    if session_id is None or caller().actor.via is not Via.SESSION:
        raise NotFound
    credentials.end_session(platform(), caller(), session_id)
    response = make_response(redirect(url_for("console.sign_in"), 303))
    delete_cookie(response)
    return response


@blueprint.get("/")
@rule(is_page=True)
def home() -> Response:
    """Where everything is."""
    return page("home.html")


@blueprint.get("/account")
@rule(Scope.ACCOUNT_READ, is_page=True)
def account() -> Response:
    """Oneself: name, password, sessions, keys."""
    return _account()


@blueprint.post("/account/password")
@rule(Scope.ACCOUNT_WRITE, action="user.update", is_page=True)
@told
def change_password() -> Response:
    """Set another password."""
    people.change_own(
        platform(),
        caller(),
        {"password": request.form.get("password", "")},
        current_password=request.form.get("currentPassword"),
    )
    return _account(message="The password is changed, and your other sessions have ended.")


@blueprint.post("/account/sessions/<id:session_id>/end")
@rule(Scope.ACCOUNT_WRITE, action="session.delete", is_page=True)
@told
def end_session(session_id: Any) -> BaseResponse:
    """End a session."""
    credentials.end_session(platform(), caller(), session_id)
    return redirect(url_for("console.account"), 303)


@blueprint.post("/account/keys")
@rule(Scope.ACCOUNT_WRITE, action="api_key.create", is_page=True)
@told
def make_key() -> Response:
    """Make a key, which is shown this once."""
    chosen = request.form.getlist("scopes")
    scopes = [Scope(one) for one in chosen if one in set(Scope)]
    name = request.form.get("name", "").strip()[:200] or "key"
    _, text = credentials.create_key(platform(), caller(), name=name, scopes=scopes or None, expires_at=None)
    return _account(key=text)


@blueprint.post("/account/keys/<id:key_id>/revoke")
@rule(Scope.ACCOUNT_WRITE, action="api_key.delete", is_page=True)
@told
def revoke_key(key_id: Any) -> BaseResponse:
    """Revoke a key."""
    credentials.revoke_key(platform(), caller(), key_id)
    return redirect(url_for("console.account"), 303)


@blueprint.get("/people")
@rule(Scope.PEOPLE_WRITE, role=Role.ADMIN, is_page=True)
def everybody() -> Response:
    """Users and groups."""
    return _people()


@blueprint.post("/people")
@rule(Scope.PEOPLE_WRITE, role=Role.ADMIN, action="user.create", is_page=True)
@told
def make_user() -> BaseResponse:
    """Make an account."""
    form = request.form
    people.create_user(
        platform(),
        actor(),
        email=form.get("email", ""),
        name=form.get("name", "") or form.get("email", ""),
        role=Role.ADMIN if form.get("role") == Role.ADMIN else Role.DEV,
        password=form.get("password") or None,
    )
    return redirect(url_for("console.everybody"), 303)


@blueprint.post("/people/<id:user_id>")
@rule(Scope.PEOPLE_WRITE, role=Role.ADMIN, action="user.update", is_page=True)
@told
def change_user(user_id: Any) -> BaseResponse:
    """Give another role, or enable or disable."""
    changes: dict[str, Any] = {}
    if request.form.get("role") in set(Role):
        changes["role"] = Role(request.form["role"])
    if request.form.get("enabled") in {"true", "false"}:
        changes["enabled"] = request.form["enabled"] == "true"
    people.change_user(platform(), actor(), user_id, changes)
    return redirect(url_for("console.everybody"), 303)


@blueprint.post("/groups")
@rule(Scope.PEOPLE_WRITE, role=Role.ADMIN, action="group.create", is_page=True)
@told
def make_group() -> BaseResponse:
    """Make a group."""
    people.create_group(platform(), actor(), name=request.form.get("name", "").strip() or "group", description="")
    return redirect(url_for("console.everybody"), 303)


@blueprint.post("/groups/<id:group_id>/members")
@rule(Scope.PEOPLE_WRITE, role=Role.ADMIN, action="group.add_member", is_page=True)
@told
def add_member(group_id: Any) -> BaseResponse:
    """Put somebody into a group."""
    user_id = parse_id(request.form.get("userId", ""))
    if user_id is None:
        raise NotFound
    people.add_member(platform(), actor(), group_id, user_id)
    return redirect(url_for("console.everybody"), 303)


@blueprint.post("/groups/<id:group_id>/members/<id:user_id>/remove")
@rule(Scope.PEOPLE_WRITE, role=Role.ADMIN, action="group.remove_member", is_page=True)
@told
def remove_member(group_id: Any, user_id: Any) -> BaseResponse:
    """Take somebody out of a group."""
    people.remove_member(platform(), actor(), group_id, user_id)
    return redirect(url_for("console.everybody"), 303)


def _account(**shown: Any) -> Response:
    return page(
        "account.html",
        sessions=credentials.sessions(platform(), caller().user_id),
        keys=credentials.api_keys(platform(), caller().user_id, before=None, limit=_MOST_SHOWN),
        scopes=list(Scope),
        current=caller().actor.credential_id,
        **shown,
    )


def _people() -> Response:
    groups = people.groups(platform(), before=None, limit=_MOST_SHOWN)
    members = people.members_of(platform(), [one.id for one in groups])
    users = people.users(platform(), before=None, limit=_MOST_SHOWN)
    return page("people.html", users=users, groups=groups, members=members)


def page(template: str, *, status: int = 200, **shown: Any) -> Response:
    """A page, with who looks at it."""
    me = caller() if knows_caller() else None
    return make_response(render_template(template, me=me, csrf=csrf_token(), **shown), status)


def next_address() -> str:
    """Where to go once signed in: an address of ours, whatever the link said."""
    wanted = request.values.get("next", "")
    # Browsers take a backslash for a slash, and leave out tabs and ends of lines.
    is_ours = wanted.startswith("/") and not wanted.startswith(("//", "/\\")) and wanted.isprintable()
    return wanted if is_ours else url_for("console.home")


def _back() -> str:
    return url_for("console.everybody") if "/account" not in request.path else url_for("console.account")
