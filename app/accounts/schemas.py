"""Accounts on the wire."""

from typing import Any
from uuid import UUID

from marshmallow import Schema, ValidationError, fields, validate

from app.accounts import passwords
from app.accounts.domain import KEY_DAYS, MOST_KEY_DAYS, MOST_OVERLAP_SECONDS, MOST_PER_MINUTE
from app.accounts.models import ApiKey, Group, Identity, UserSession
from app.accounts.people import Person
from app.http.cursors import PageQuery
from app.http.wire import Plain, Switch, Time, WholeNumber, WireSchema, page_of
from app.rules import Role, Scope
from app.settings import EMAIL

_LONGEST_NAME = 200

#: Users, and groups, that one thing may be shared with.
MOST_SHARED = 100


def _name(**kwargs: Any) -> Plain:
    return Plain(validate=validate.Length(min=1, max=_LONGEST_NAME), **kwargs)


def _email(**kwargs: Any) -> Plain:
    return Plain(
        validate=validate.Regexp(f"^{EMAIL.pattern}\\Z", error="This is no e-mail address."),
        metadata={"format": "email", "description": "Unique among users; case does not matter."},
        **kwargs,
    )


def _password(**kwargs: Any) -> Plain:
    described = f"{passwords.SHORTEST} to {passwords.LONGEST} characters, and none that is tried first."
    return Plain(metadata={"description": described, "format": "password"}, load_only=True, **kwargs)


def _role(**kwargs: Any) -> fields.Enum[Role]:
    return fields.Enum(Role, by_value=True, **kwargs)


def allowed(kind: str) -> fields.Field[Any]:
    """With whom something is shared."""
    described = f"The {kind} that it is shared with. With neither users nor groups it is shared with everybody here."
    return fields.List(
        fields.UUID(), validate=[validate.Length(max=MOST_SHARED), _distinct], metadata={"description": described}
    )


def _distinct(ids: list[UUID]) -> None:
    if len(set(ids)) < len(ids):
        raise ValidationError("Each is named once.")


class UserCreate(WireSchema):
    """A user to be."""

    email = _email(required=True)
    name = _name(required=True)
    role = _role(required=True)
    password = _password()


class UserWrite(WireSchema):
    """What administrators change of a user; what is left out stays."""

    name = _name()
    role = _role()
    enabled = Switch()
    password = _password()


class OwnWrite(WireSchema):
    """What everybody changes of themselves."""

    name = _name()
    password = _password()
    current_password = Plain(
        load_only=True, metadata={"format": "password", "description": "Wanted with a new password."}
    )


class UserRead(WireSchema):
    """A user."""

    id = fields.UUID(required=True)
    email = fields.String(required=True)
    name = fields.String(required=True)
    role = _role(required=True)
    enabled = fields.Boolean(required=True)
    groups = fields.List(fields.UUID(), required=True)
    created_at = Time(required=True)
    updated_at = Time(required=True)
    last_sign_in_at = Time(required=True, allow_none=True)


class OwnRead(UserRead):
    """Oneself, and what lets one in."""

    scopes = fields.List(fields.Enum(Scope, by_value=True), required=True)
    csrf_token = fields.String(
        required=True, allow_none=True, metadata={"description": "Of the session; null where an API key lets one in."}
    )


UserPage = page_of(UserRead, "UserPage")


class GroupWrite(WireSchema):
    """What is changed of a group; what is left out stays."""

    name = _name()
    description = Plain(validate=validate.Length(max=2000))


class GroupCreate(GroupWrite):
    """A group to be."""

    name = _name(required=True)


class GroupRead(WireSchema):
    """A group."""

    id = fields.UUID(required=True)
    name = fields.String(required=True)
    description = fields.String(required=True)
    created_at = Time(required=True)
    updated_at = Time(required=True)


GroupPage = page_of(GroupRead, "GroupPage")


class MemberAdd(WireSchema):
    """Who joins."""

    user_id = fields.UUID(required=True)


class SignIn(WireSchema):
    """Who signs in."""

    email = Plain(required=True, validate=validate.Length(max=254))
    password = Plain(
        required=True, load_only=True, validate=validate.Length(max=passwords.LONGEST), metadata={"format": "password"}
    )


class SessionRead(WireSchema):
    """A browser that somebody has signed in with."""

    id = fields.UUID(required=True)
    user_id = fields.UUID(required=True)
    address = fields.String(required=True, allow_none=True)
    user_agent = fields.String(required=True)
    is_current = fields.Boolean(required=True)
    created_at = Time(required=True)
    last_seen_at = Time(required=True)
    expires_at = Time(required=True)


class SessionBegun(SessionRead):
    """The same at its beginning."""

    csrf_token = fields.String(required=True, metadata={"description": "To be sent as X-CSRF-Token with each change."})


SessionPage = page_of(SessionRead, "SessionPage")


class OfUser(Schema):
    """Whose."""

    userId = fields.UUID(  # noqa: N815 - the name on the wire
        load_default=None, metadata={"description": "For administrators: another user than oneself."}
    )


class KeyQuery(PageQuery, OfUser):
    """Which keys."""


class IdentityCreate(WireSchema):
    """Who a user is elsewhere, on an administrator's word."""

    user_id = fields.UUID(required=True)
    issuer = Plain(required=True, metadata={"description": "Of a provider in the settings, to the letter."})
    subject = Plain(
        required=True,
        validate=validate.Regexp(r"^[ -~]{1,255}\Z", error="A subject has 1 to 255 characters of ASCII."),
        metadata={"description": "What the provider calls them in `sub`.", "pattern": "^[ -~]{1,255}$"},
    )


class IdentityRead(WireSchema):
    """Who a user is elsewhere."""

    id = fields.UUID(required=True)
    user_id = fields.UUID(required=True)
    issuer = fields.String(required=True)
    subject = fields.String(required=True)
    created_at = Time(required=True)
    last_used_at = Time(required=True, allow_none=True)


IdentityPage = page_of(IdentityRead, "IdentityPage")


class ProviderRead(WireSchema):
    """Where one may sign in, too."""

    name = fields.String(required=True)
    label = fields.String(required=True)


ProviderPage = page_of(ProviderRead, "ProviderPage")


class KeyCreate(WireSchema):
    """A key to be."""

    name = _name(required=True)
    scopes = fields.List(
        fields.Enum(Scope, by_value=True),
        validate=validate.Length(min=1),
        metadata={"description": "What it may be used for; by default all that its maker may."},
    )
    expires_at = Time(
        metadata={
            "description": f"By default in {KEY_DAYS} days, at most in {MOST_KEY_DAYS}; no later than a key making it."
        }
    )
    executions_per_minute = WholeNumber(
        validate=validate.Range(1, MOST_PER_MINUTE),
        metadata={
            "description": "How often it may have something executed, no more often than a key making it; "
            "otherwise what `KILN_KEY_EXECUTIONS_PER_MINUTE` says."
        },
    )


class KeyRotate(WireSchema):
    """How a key gets another text."""

    overlap_seconds = WholeNumber(
        load_default=0,
        validate=validate.Range(0, MOST_OVERLAP_SECONDS),
        metadata={"description": "How long the old text is good for."},
    )


class KeyRead(WireSchema):
    """A key, without its text."""

    id = fields.UUID(required=True)
    user_id = fields.UUID(required=True)
    name = fields.String(required=True)
    hint = fields.String(required=True, metadata={"description": "Beginning and end of its text."})
    scopes = fields.List(fields.Enum(Scope, by_value=True), required=True)
    executions_per_minute = fields.Integer(required=True, allow_none=True)
    created_at = Time(required=True)
    expires_at = Time(required=True)
    last_used_at = Time(required=True, allow_none=True, metadata={"description": "To the minute."})
    rotated_at = Time(required=True, allow_none=True)


class KeyMade(KeyRead):
    """A key with its text, this once."""

    key = fields.String(required=True)


KeyPage = page_of(KeyRead, "KeyPage")


def as_user(person: Person) -> dict[str, Any]:
    """The members of a user on the wire."""
    user = person.user
    return {
        "id": user.id,
        "email": user.email,
        "name": user.name,
        "role": Role(user.role),
        "enabled": user.enabled,
        "groups": person.groups,
        "created_at": user.created_at,
        "updated_at": user.updated_at,
        "last_sign_in_at": user.last_sign_in_at,
    }


def as_group(group: Group) -> dict[str, Any]:
    """The members of a group on the wire."""
    names = ("id", "name", "description", "created_at", "updated_at")
    return {name: getattr(group, name) for name in names}


def as_session(session: UserSession, *, is_current: bool) -> dict[str, Any]:
    """The members of a session on the wire."""
    names = ("id", "user_id", "address", "user_agent", "created_at", "last_seen_at", "expires_at")
    return {"is_current": is_current} | {name: getattr(session, name) for name in names}


def as_identity(identity: Identity) -> dict[str, Any]:
    """The members of an identity on the wire."""
    names = ("id", "user_id", "issuer", "subject", "created_at", "last_used_at")
    return {name: getattr(identity, name) for name in names}


def as_key(key: ApiKey) -> dict[str, Any]:
    """The members of a key on the wire."""
    names = (
        "id",
        "user_id",
        "name",
        "hint",
        "executions_per_minute",
        "created_at",
        "expires_at",
        "last_used_at",
        "rotated_at",
    )
    return {"scopes": list(map(Scope, key.scopes))} | {name: getattr(key, name) for name in names}
