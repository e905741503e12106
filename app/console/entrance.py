"""Sign-in, sign-out, and the first page."""

from typing import Any
from urllib.parse import urlsplit

from flask import Response, make_response, redirect, request, url_for
from marshmallow import ValidationError
from werkzeug.wrappers import Response as BaseResponse

from app.accounts import credentials
from app.accounts.domain import NotFound, SignInFailed, TooManyAttempts
from app.accounts.guard import actor, caller, delete_cookie, knows_caller, set_cookie
from app.accounts.schemas import SignIn
from app.audit.domain import Via
from app.console.forms import read
from app.console.pages import blueprint, is_by_script, leave_for, page
from app.http.blueprints import platform
from app.rules import rule


@blueprint.get("/sign-in")
@rule(is_open=True)
def sign_in() -> Any:
    """Who are you?"""
    if knows_caller():
        return redirect(_next())
    if is_by_script():
        # A session has ended under an open page, of which only a part would be replaced.
        return leave_for(url_for("console.sign_in", next=_next()))
    return page("sign_in.html", next=_next())


@blueprint.post("/sign-in")
@rule(is_open=True)
def begin() -> Any:
    """Sign in."""
    try:
        sent = read(SignIn, email=request.form.get("email", ""), password=request.form.get("password", ""))
        begun = credentials.sign_in(platform(), actor(), **sent, user_agent=request.headers.get("User-Agent", ""))
    except (SignInFailed, TooManyAttempts, ValidationError) as error:
        is_too_early = isinstance(error, TooManyAttempts)
        # What no account can have is refused as what none has.
        message = str(error) if is_too_early else SignInFailed.__doc__
        status = 429 if is_too_early else 401
        return page("sign_in.html", status=status, next=_next(), email=request.form.get("email", ""), message=message)
    response = make_response(redirect(_next(), 303))
    set_cookie(response, begun.token)
    return response


@blueprint.post("/sign-out")
@rule(action="session.delete", is_page=True)
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


def _next() -> str:
    """Where to go once signed in: an address of ours, whatever the link said."""
    wanted = request.values.get("next", "")
    parts = urlsplit(wanted)
    is_ours = wanted.startswith("/") and not wanted.startswith(("//", "/\\")) and not parts.netloc and not parts.scheme
    return wanted if is_ours else url_for("console.home")
