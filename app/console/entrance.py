"""Sign-in, sign-out, and the first page."""

from typing import Any

from flask import Response, make_response, redirect, request, url_for
from marshmallow import ValidationError
from werkzeug.wrappers import Response as BaseResponse

from app.accounts import credentials
from app.accounts.domain import NotFound, SignInFailed, TooManyAttempts
from app.accounts.guard import actor, caller, delete_cookie, knows_caller, set_cookie
from app.accounts.schemas import SignIn
from app.audit.domain import Via
from app.console.forms import read
from app.console.pages import blueprint, is_by_script, leave_for, next_address, page
from app.http.blueprints import platform
from app.rules import rule


@blueprint.get("/sign-in")
@rule(is_open=True)
def sign_in() -> Any:
    """Who are you?"""
    if knows_caller():
        return redirect(next_address())
    if is_by_script():
        # A session has ended under an open page, of which only a part would be replaced.
        return leave_for(url_for("console.sign_in", next=next_address()))
    return _form()


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
        response = _form(status=status, email=request.form.get("email", ""), message=message)
        if isinstance(error, TooManyAttempts):
            response.headers["Retry-After"] = str(error.retry_after_seconds)
        return response
    response = make_response(redirect(next_address(), 303))
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


def _form(**shown: Any) -> Response:
    return page("sign_in.html", next=next_address(), providers=platform().settings.oidc_providers, **shown)
