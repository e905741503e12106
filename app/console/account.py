"""Oneself: name, password, sessions, keys."""

from typing import Any
from uuid import UUID

from flask import Response, request
from werkzeug.wrappers import Response as BaseResponse

from app.accounts import credentials, identities, people
from app.accounts.guard import caller
from app.accounts.models import Identity
from app.accounts.schemas import KeyCreate, KeyRotate, OwnWrite
from app.console.forms import day, number, read, text, told_at
from app.console.pages import Room, blueprint, listed, show
from app.http.blueprints import platform
from app.rules import Scope, rule

ROOM = Room("account", "console.account", ("profile", "keys", "sessions", "identities", "password"))


def _room(**shown: Any) -> Response:
    def fetch(before: UUID | None, limit: int) -> Any:
        return credentials.api_keys(platform(), caller().user_id, before=before, limit=limit)

    return show(
        ROOM,
        title="Your account",
        keys=listed(fetch),
        sessions=credentials.sessions(platform(), caller().user_id),
        current=caller().actor.credential_id,
        has_password=people.has_password(platform(), caller().user_id),
        identities=_identities(),
        providers=platform().settings.oidc_providers,
        **shown,
    )


def _identities() -> list[tuple[str, Identity]]:
    """One's identities, with what people call where they come from."""
    labels = {one.issuer: one.label for one in platform().settings.oidc_providers}
    found = identities.identities(platform(), caller().user_id)
    return [(labels.get(one.issuer, one.issuer), one) for one in found]


@blueprint.get("/account")
@rule(Scope.ACCOUNT_READ, is_page=True)
def account() -> Response:
    """Oneself."""
    return _room()


@blueprint.post("/account/name")
@rule(Scope.ACCOUNT_WRITE, action="user.update", is_page=True)
@told_at("profile-form", _room)
def change_name() -> BaseResponse:
    """Be called otherwise."""
    changes = read(OwnWrite, name=text("name") or "")
    people.change_own(platform(), caller(), changes, current_password=None)
    return ROOM.again()


@blueprint.post("/account/password")
@rule(Scope.ACCOUNT_WRITE, action="user.update", is_page=True)
@told_at("password-form", _room)
def change_password() -> Response:
    """Set another password."""
    form = request.form
    changes = read(OwnWrite, password=form.get("password", ""), currentPassword=form.get("currentPassword"))
    current_password = changes.pop("current_password", None)
    people.change_own(platform(), caller(), changes, current_password=current_password)
    return _room(done="password", along=("sessions",))


@blueprint.post("/account/sessions/<id:session_id>/end")
@rule(Scope.ACCOUNT_WRITE, action="session.delete", is_page=True)
def end_session(session_id: UUID) -> BaseResponse:
    """End a session."""
    credentials.end_session(platform(), caller(), session_id)
    return ROOM.again()


@blueprint.post("/account/sessions/end-others")
@rule(Scope.ACCOUNT_WRITE, action="session.delete_others", is_page=True)
def end_other_sessions() -> BaseResponse:
    """End all sessions but the one that asks."""
    credentials.end_other_sessions(platform(), caller())
    return ROOM.again()


@blueprint.post("/account/keys")
@rule(Scope.ACCOUNT_WRITE, action="api_key.create", is_page=True)
@told_at("make-key", _room)
def make_key() -> Response:
    """Make a key, which is shown this once."""
    scopes = request.form.getlist("scopes") or None
    body = read(KeyCreate, name=text("name"), scopes=scopes, expiresAt=day("expiresAt"))
    made, key = credentials.create_key(
        platform(), caller(), name=body["name"], scopes=body.get("scopes"), expires_at=body.get("expires_at")
    )
    return _room(made=made, key=key)


@blueprint.post("/account/keys/<id:key_id>/rotate")
@rule(Scope.ACCOUNT_WRITE, action="api_key.rotate", is_page=True)
@told_at("rotate-{key_id}", _room)
def rotate_key(key_id: UUID) -> Response:
    """Give a key another text, which is shown this once."""
    body = read(KeyRotate, overlapSeconds=number("overlapSeconds"))
    rotated, key = credentials.rotate_key(platform(), caller(), key_id, overlap_seconds=body["overlap_seconds"])
    return _room(made=rotated, key=key)


@blueprint.post("/account/keys/<id:key_id>/revoke")
@rule(Scope.ACCOUNT_WRITE, action="api_key.delete", is_page=True)
def revoke_key(key_id: UUID) -> BaseResponse:
    """Revoke a key."""
    credentials.revoke_key(platform(), caller(), key_id)
    return ROOM.again()


@blueprint.post("/account/identities/<id:identity_id>/unlink")
@rule(Scope.ACCOUNT_WRITE, action="identity.delete", is_page=True)
@told_at("unlink-{identity_id}", _room)
def unlink(identity_id: UUID) -> BaseResponse:
    """Let an identity of another provider's in no more."""
    identities.remove(platform(), caller(), identity_id)
    return ROOM.again()
