"""The ways to a provider and back: signing in with it, and linking who one is there to one's account."""

from typing import Final
from urllib.parse import urlsplit

from flask import Blueprint, Response, abort, current_app, make_response, redirect, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from app.accounts import identities
from app.accounts.domain import AccountError, NotFound, TooManyAttempts
from app.accounts.guard import actor, caller, set_cookie
from app.audit.domain import Via
from app.console.pages import PROVIDERS, next_address, page
from app.console.pages import blueprint as console
from app.http.blueprints import platform
from app.oidc.client import Client
from app.oidc.domain import Answer, OidcError, Unavailable
from app.rules import Scope, rule

blueprint = Blueprint(PROVIDERS, __name__, url_prefix="/oidc")

#: What a provider sends along with a browser that comes back.
_ANSWER: Final = ("state", "code", "iss", "error")


@blueprint.get("/<string:provider>/sign-in")
@rule(is_open=True)
def sign_in(provider: str) -> BaseResponse:
    """Go to a provider and sign in there."""
    client, here = _client(provider), urlsplit(platform().settings.base_url).netloc
    # Loopback has several names, and the provider sends the browser back to one: the cookie must be that one's.
    if platform().settings.public_url is None and request.host != here:
        return redirect(f"http://{here}{request.full_path}")
    try:
        begun = identities.begin(platform(), client, actor(), next_address=next_address(), session_id=None)
    except (OidcError, TooManyAttempts) as error:
        return _refused(error)
    response = redirect(begun.url)
    _keep(response, begun.browser)
    return response


@blueprint.get("/<string:provider>/callback")
@rule(is_open=True)
def callback(provider: str) -> BaseResponse:
    """Come back from a provider. Whoever has a session already gets another one: theirs is never taken over."""
    try:
        ended = identities.end(
            platform(),
            _client(provider),
            actor(),
            browser=request.cookies.get(_cookie_name(), ""),
            answer=_answer(),
            user_agent=request.headers.get("User-Agent", ""),
        )
    except (OidcError, AccountError) as error:
        response = _refused(error)
    else:
        response = make_response(redirect(ended.next_address, 303))
        if ended.signed_in is not None:
            set_cookie(response, ended.signed_in.token)
    _forget(response)
    return response


@console.post("/account/identities/<string:provider>/link")
@rule(Scope.ACCOUNT_WRITE, action="identity.create", is_page=True)
def link(provider: str) -> Response:
    """Go to a provider to link who one is there."""
    if caller().actor.via is not Via.SESSION:
        raise NotFound
    client = _client(provider)
    try:
        begun = identities.begin(
            platform(),
            client,
            actor(),
            next_address=url_for("console.account"),
            session_id=caller().actor.credential_id,
        )
    except OidcError as error:
        return _refused(error)
    # Browsers hold a form's redirects to the policy's `form-action`, which is this server alone: so this is a page.
    response = page("oidc_leaving.html", label=client.provider.label, url=begun.url)
    response.headers["Refresh"] = f"0; url={begun.url}"
    _keep(response, begun.browser)
    return response


def _client(name: str) -> Client:
    clients: dict[str, Client] = current_app.extensions["kiln.oidc"]
    return clients.get(name) or abort(404)


def _answer() -> Answer:
    """What a browser has brought back; what comes twice is taken for nothing, as it could be read in two ways."""
    sent = {name: request.args.getlist(name) for name in _ANSWER}
    state, code, issuer, error = (values[0] if len(values) == 1 else None for values in sent.values())
    return Answer(state=state, code=code, issuer=issuer, error=error)


def _refused(error: Exception) -> Response:
    text = str(error) or (type(error).__doc__ or "").splitlines()[0]
    status = 503 if isinstance(error, Unavailable) else 429 if isinstance(error, TooManyAttempts) else 401
    response = page(
        "problem.html", status=status, heading="This could not be done", message=text[:1].upper() + text[1:]
    )
    if isinstance(error, Unavailable | TooManyAttempts):
        response.headers["Retry-After"] = str(error.retry_after_seconds)
    return response


def _cookie_name() -> str:
    return "__Host-kiln_sign_in" if platform().settings.is_https else "kiln_sign_in"


def _keep(response: BaseResponse, browser: str) -> None:
    response.set_cookie(
        _cookie_name(),
        browser,
        max_age=int(identities.LASTING.total_seconds()),
        secure=platform().settings.is_https,
        httponly=True,
        samesite="Lax",
    )


def _forget(response: BaseResponse) -> None:
    response.delete_cookie(_cookie_name(), secure=platform().settings.is_https, httponly=True, samesite="Lax")
