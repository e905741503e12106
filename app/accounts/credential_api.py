"""`/sessions`, `/identities`, `/api-keys`: what lets people in."""

from typing import Any
from uuid import UUID

from flask import Response, jsonify, make_response, request, url_for
from flask.views import MethodView

from app.accounts import credentials, domain, identities, people
from app.accounts.guard import actor, caller, csrf_token_of, delete_cookie, set_cookie
from app.accounts.schemas import (
    IdentityCreate,
    IdentityPage,
    IdentityRead,
    KeyCreate,
    KeyMade,
    KeyPage,
    KeyQuery,
    KeyRead,
    KeyRotate,
    OfUser,
    ProviderPage,
    SessionBegun,
    SessionPage,
    SignIn,
    as_identity,
    as_key,
    as_session,
)
from app.audit.domain import Via
from app.http.blueprints import LOCATED, ResourceBlueprint, platform
from app.http.cursors import paged
from app.rules import Role, Scope, rule

blueprint = ResourceBlueprint("credentials", __name__, description="What lets people in.")

#: What the errors of these are on the wire.
PROBLEMS = {
    domain.Unauthenticated: "unauthenticated",
    domain.SignInFailed: "sign_in_failed",
    domain.Forbidden: "forbidden",
    domain.ScopeMissing: "scope_missing",
    domain.IdentityTaken: "identity_taken",
    domain.LastWayIn: "last_way_in",
    domain.ExpiryRefused: "expiry_refused",
    domain.TooManyAttempts: "too_many_attempts",
}


@blueprint.route("/sessions")
class Sessions(MethodView):
    """Browsers that somebody has signed in with."""

    @rule(Scope.ACCOUNT_READ)
    @blueprint.arguments(OfUser, location="query")
    @blueprint.response(200, SessionPage)
    def get(self, query: dict[str, Any]) -> dict[str, Any]:
        """List one's sessions, newest first."""
        current = caller().actor.credential_id
        found = credentials.sessions(platform(), _whose(query))
        return {"items": [as_session(one, is_current=one.id == current) for one in found], "next_cursor": None}

    @rule(is_open=True)
    @blueprint.doc(security=[])
    @blueprint.arguments(SignIn)
    @blueprint.response(201, SessionBegun, headers=LOCATED)
    def post(self, body: dict[str, Any]) -> Response:
        """Sign in: the answer's cookie lets the browser in."""
        begun = credentials.sign_in(
            platform(),
            actor(),
            email=body["email"],
            password=body["password"],
            user_agent=request.headers.get("User-Agent", ""),
        )
        shown = as_session(begun.session, is_current=True)
        shown["csrf_token"] = csrf_token_of(begun.session.id)
        response = make_response(jsonify(SessionBegun().dump(shown)), 201)
        response.headers["Location"] = url_for("credentials.OneSession", session_id=begun.session.id)
        set_cookie(response, begun.token)
        return response


@blueprint.route("/sessions/current")
class CurrentSession(MethodView):
    """What lets one in."""

    @rule(Scope.ACCOUNT_WRITE, action="session.delete")
    @blueprint.response(204)
    def delete(self) -> Response:
        """Sign out."""
        if caller().actor.via is not Via.SESSION:
            raise domain.NotFound
        return _ended(caller().actor.credential_id)


@blueprint.route("/sessions/<id:session_id>")
class OneSession(MethodView):
    """One session."""

    @rule(Scope.ACCOUNT_WRITE, action="session.delete")
    @blueprint.response(204)
    def delete(self, session_id: UUID) -> Response:
        """End a session."""
        return _ended(session_id)


@blueprint.route("/oidc/providers")
class Providers(MethodView):
    """Where people may sign in, too."""

    @rule(is_open=True)
    @blueprint.doc(security=[])
    @blueprint.response(200, ProviderPage)
    def get(self) -> dict[str, Any]:
        """List the providers that the settings name. A browser signs in at `/oidc/{name}/sign-in`."""
        return {"items": platform().settings.oidc_providers, "next_cursor": None}


@blueprint.route("/identities")
class Identities(MethodView):
    """Who somebody is elsewhere."""

    @rule(Scope.ACCOUNT_READ)
    @blueprint.arguments(OfUser, location="query")
    @blueprint.response(200, IdentityPage)
    def get(self, query: dict[str, Any]) -> dict[str, Any]:
        """List one's identities, newest first."""
        found = identities.identities(platform(), _whose(query))
        return {"items": [as_identity(one) for one in found], "next_cursor": None}

    @rule(Scope.PEOPLE_WRITE, role=Role.ADMIN, action="identity.create")
    @blueprint.arguments(IdentityCreate)
    @blueprint.response(201, IdentityRead)
    def post(self, body: dict[str, Any]) -> Any:
        """Say who a user is elsewhere, with a key with every scope. They link their own in the console, where they
        prove it.
        """
        made = identities.add(platform(), caller(), body["user_id"], issuer=body["issuer"], subject=body["subject"])
        return as_identity(made), 201


@blueprint.route("/identities/<id:identity_id>")
class OneIdentity(MethodView):
    """One identity."""

    @rule(Scope.ACCOUNT_WRITE, action="identity.delete")
    @blueprint.response(204)
    def delete(self, identity_id: UUID) -> None:
        """Unlink an identity. Sessions that began with it end, and its user leaves the groups that it brought."""
        identities.remove(platform(), caller(), identity_id)


@blueprint.route("/api-keys")
class ApiKeys(MethodView):
    """What one's programs sign in with."""

    @rule(Scope.ACCOUNT_READ)
    @blueprint.arguments(KeyQuery, location="query")
    @blueprint.response(200, KeyPage)
    def get(self, query: dict[str, Any]) -> dict[str, Any]:
        """List one's keys, newest first."""
        user_id = _whose(query)

        def fetch(before: UUID | None, limit: int) -> Any:
            return credentials.api_keys(platform(), user_id, before=before, limit=limit)

        page = paged(fetch, query, lambda one: one.id)
        return page | {"items": [as_key(one) for one in page["items"]]}

    @rule(Scope.ACCOUNT_WRITE, action="api_key.create")
    @blueprint.arguments(KeyCreate)
    @blueprint.response(201, KeyMade, headers=LOCATED)
    def post(self, body: dict[str, Any]) -> Any:
        """Make a key. Its text is in this answer and nowhere else."""
        key, text = credentials.create_key(
            platform(),
            caller(),
            name=body["name"],
            scopes=body.get("scopes"),
            executions_per_minute=body.get("executions_per_minute"),
            expires_at=body.get("expires_at"),
        )
        location = url_for("credentials.OneApiKey", key_id=key.id)
        return as_key(key) | {"key": text}, 201, {"Location": location}


@blueprint.route("/api-keys/<id:key_id>")
class OneApiKey(MethodView):
    """One key."""

    @rule(Scope.ACCOUNT_READ)
    @blueprint.response(200, KeyRead)
    def get(self, key_id: UUID) -> dict[str, Any]:
        """Read a key, without its text."""
        return as_key(credentials.api_key(platform(), caller(), key_id))

    @rule(Scope.ACCOUNT_WRITE, action="api_key.delete")
    @blueprint.response(204)
    def delete(self, key_id: UUID) -> None:
        """Revoke a key, at once."""
        credentials.revoke_key(platform(), caller(), key_id)


@blueprint.route("/api-keys/<id:key_id>/rotate")
class RotatedApiKey(MethodView):
    """The act of giving a key another text."""

    @rule(Scope.ACCOUNT_WRITE, action="api_key.rotate")
    @blueprint.arguments(KeyRotate)
    @blueprint.response(200, KeyMade)
    def post(self, body: dict[str, Any], key_id: UUID) -> Any:
        """Give a key of one's own another text; the old one is good for `overlapSeconds` more."""
        key, text = credentials.rotate_key(platform(), caller(), key_id, overlap_seconds=body["overlap_seconds"])
        return as_key(key) | {"key": text}


def _whose(query: dict[str, Any]) -> UUID:
    """Whose credentials are asked for; others' only by administrators."""
    asked: UUID | None = query["userId"]
    if asked is None or asked == caller().user_id:
        return caller().user_id
    if not caller().is_admin:
        raise domain.Forbidden
    return people.user(platform(), asked).user.id


def _ended(session_id: UUID | None) -> Response:
    assert session_id is not None  # noqa: S101 - for the type checker: a session has an id
    credentials.end_session(platform(), caller(), session_id)
    response = make_response("", 204)
    if session_id == caller().actor.credential_id:
        delete_cookie(response)
    return response
