"""The edge's door: who asks, and whether the route's rule lets them in. No route is answered without a rule.

Flask-Login keeps the user of a request; who that is comes from our own tables by the session's cookie or an API key,
and never from anything that a client could have made.
"""

import hmac
from typing import Final, cast
from uuid import UUID

from flask import Flask, Request, Response, current_app, g, redirect, request, url_for
from flask_login import LoginManager, UserMixin, current_user
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.wrappers import Response as BaseResponse

from app.accounts import attempts, credentials, tokens
from app.accounts.credentials import Authenticated
from app.accounts.domain import Forbidden, Principal, ScopeMissing, Unauthenticated
from app.audit.domain import Act, Actor, Outcome
from app.audit.service import record_alone
from app.http.blueprints import platform
from app.http.correlation import correlation_id
from app.http.origins import SAFE_METHODS, names_our_origin
from app.http.problems import Problem, noted
from app.rules import Rule, rule_of

TOKEN_HEADER: Final = "X-CSRF-Token"  # noqa: S105 - a name
TOKEN_FIELD: Final = "csrfToken"  # noqa: S105 - a name

_BEARER: Final = "bearer "
_LARGEST_OPEN_BYTES: Final = 16_384

#: What refuses somebody something, and does not only find fault with how it was asked.
_REFUSALS: Final = frozenset({401, 403, 404})
_REFUSING: Final = frozenset({"last_administrator", "last_way_in", "wrong_password"})


class Caller(UserMixin):  # type: ignore[misc]
    """The user of a request, as Flask-Login wants them."""

    def __init__(self, authenticated: Authenticated) -> None:
        self.principal = authenticated.principal
        self.session_id = authenticated.session_id
        self.is_to_rotate = authenticated.is_to_rotate

    def get_id(self) -> str:
        """Their id."""
        return str(self.principal.user_id)


def caller() -> Principal:
    """Who asks. Only a route that is open to strangers may raise Unauthenticated by this."""
    found = _caller()
    if found is None:
        raise Unauthenticated
    return found.principal


def actor() -> Actor:
    """Who asks, as the audit has it; a stranger has no name."""
    found = _caller()
    return _stranger() if found is None else found.principal.actor


def is_administrator() -> bool:
    """Whether an administrator asks, for routes that are open to strangers; where that cannot be told, nobody does."""
    try:
        found = _caller()
    except SQLAlchemyError:
        return False
    return found is not None and found.principal.is_admin


def knows_caller() -> bool:
    """Whether somebody has said who they are."""
    return _caller() is not None


def csrf_token() -> str | None:
    """What the caller's pages send along with changes; none where no session lets them in."""
    found = _caller()
    return None if found is None or found.session_id is None else csrf_token_of(found.session_id)


def csrf_token_of(session_id: UUID) -> str:
    """What the pages of a session send along."""
    return tokens.csrf_token(platform().settings.secret_key, session_id)


def cookie_name() -> str:
    """The session's cookie. Over https its prefix has browsers take it from this host alone."""
    return "__Host-kiln_session" if platform().settings.is_https else "kiln_session"


def set_cookie(response: Response, token: str) -> None:
    """Let a browser in with a session's name."""
    response.set_cookie(
        cookie_name(),
        token,
        max_age=int(credentials.ABSOLUTE.total_seconds()),
        secure=platform().settings.is_https,
        httponly=True,
        samesite="Lax",
    )


def delete_cookie(response: Response) -> None:
    """Have a browser forget its session."""
    response.delete_cookie(cookie_name(), secure=platform().settings.is_https, httponly=True, samesite="Lax")


def guard_routes(app: Flask) -> None:
    """Hold every request to its route's rule, and write down who was refused a change."""
    # A cookie without a name is never sent: Flask-Login's own are not used.
    app.config.update(REMEMBER_COOKIE_NAME="")
    manager = LoginManager(app)
    manager.session_protection = None
    manager.request_loader(_load)
    app.before_request(_admit)
    app.after_request(_rename)
    app.after_request(_write_refusal)


def _caller() -> Caller | None:
    return None if current_user.is_anonymous else cast("Caller", current_user)


def _load(sent: Request) -> Caller | None:
    """Who sent a request. A key is never read from a cookie, and whoever sends one is not asked for a cookie."""
    header = sent.headers.get("Authorization")
    if header is not None:
        is_bearer = header[: len(_BEARER)].lower() == _BEARER
        token = header[len(_BEARER) :].strip() if is_bearer else ""
    else:
        token = sent.cookies.get(cookie_name(), "")
    if not token:
        return None
    found = credentials.authenticate(platform(), token, _stranger(), is_key=header is not None)
    # For what comes after the answer: it must not ask a database again that may be away.
    g.caller = None if found is None else Caller(found)
    return cast("Caller | None", g.caller)


def _stranger() -> Actor:
    return Actor(address=request.remote_addr, correlation_id=correlation_id())


def _admit() -> BaseResponse | None:
    rule = _rule()
    if rule is None or rule.is_open:
        # Strangers have little to say.
        request.max_content_length = _LARGEST_OPEN_BYTES
        return None
    found = _caller()
    if found is None:
        if rule.is_page and request.method in SAFE_METHODS and "Authorization" not in request.headers:
            return redirect(url_for("console.sign_in", next=request.full_path.removesuffix("?")), 303)
        raise Unauthenticated
    principal = found.principal
    if request.method not in SAFE_METHODS and found.session_id is not None:
        _check_page(rule)
    if rule.scope is not None and rule.scope not in principal.scopes:
        raise ScopeMissing(rule.scope)
    if rule.role is not None and principal.role is not rule.role and not principal.is_admin:
        raise Forbidden
    return None


def _rule() -> Rule | None:
    """The rule of what is asked for; none where there is nothing, which is answered later. What has none is refused."""
    if request.endpoint is None:
        return None
    view = current_app.view_functions[request.endpoint]
    if request.method == "OPTIONS":
        return Rule()
    found = rule_of(view, request.method)
    if found is None:
        raise Forbidden
    return found


def _check_page(rule: Rule) -> None:
    """Whether a change comes from a page of ours, which knows the session's token."""
    if not rule.has_token:
        if not names_our_origin():
            raise Problem("csrf_failed", "Only pages of this server may ask for this.")
        return
    sent = request.headers.get(TOKEN_HEADER) or request.form.get(TOKEN_FIELD, "")
    if not hmac.compare_digest(sent.encode(), (csrf_token() or "").encode()):
        raise Problem("csrf_failed", f"With a session's cookie, send its csrfToken as {TOKEN_HEADER}.")


def _rename(response: Response) -> Response:
    """Send a session's other name, if it is to have one and has not just been ended."""
    found: Caller | None = g.get("caller")
    is_set = any(sent.startswith(f"{cookie_name()}=") for sent in response.headers.getlist("Set-Cookie"))
    if found is not None and found.is_to_rotate and found.session_id is not None and not is_set:
        token = credentials.renew(platform(), found.session_id)
        if token is not None:
            set_cookie(response, token)
    return response


def _write_refusal(response: Response) -> Response:
    is_refused = response.status_code in _REFUSALS or noted() in _REFUSING
    if not is_refused or request.endpoint is None or request.method in SAFE_METHODS:
        return response
    rule = rule_of(current_app.view_functions[request.endpoint], request.method)
    if rule is None or rule.action is None or rule.is_open:
        return response
    asked = next(iter((request.view_args or {}).values()), None)
    after = {"status": response.status_code, "code": noted()}
    act = Act(rule.action, asked, after=after, outcome=Outcome.REFUSED)
    # Whoever was refused before anybody asked who they are is asked now: a page elsewhere may have used their session.
    if attempts.may_be_written(platform(), actor(), act):
        record_alone(platform(), actor(), act)
    return response
