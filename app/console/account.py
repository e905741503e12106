"""Oneself: name, password, sessions, keys."""

from typing import Any

from flask import Response, redirect, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from app.accounts import credentials, people
from app.accounts.guard import caller
from app.console.pages import MOST_SHOWN, blueprint, page, told
from app.http.blueprints import platform
from app.rules import Scope, rule


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


def _account(**shown: Any) -> Response:
    return page(
        "account.html",
        sessions=credentials.sessions(platform(), caller().user_id),
        keys=credentials.api_keys(platform(), caller().user_id, before=None, limit=MOST_SHOWN),
        scopes=list(Scope),
        current=caller().actor.credential_id,
        **shown,
    )
