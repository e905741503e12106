"""The verbs of what lets somebody in: sign in and out, make, rotate and revoke keys, tell whose a token is."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final
from uuid import UUID

from sqlalchemy import Connection
from sqlalchemy.orm import Session

from app.accounts import attempts, credential_queries, passwords, queries, tokens
from app.accounts.domain import (
    KEY_DAYS,
    MOST_KEY_DAYS,
    ExpiryRefused,
    KeyFaster,
    NotFound,
    Principal,
    ScopeMissing,
    SignInFailed,
    Unauthenticated,
    key_rate,
)
from app.accounts.models import ApiKey, Identity, Token, User, UserSession
from app.audit.domain import Act, Actor, Outcome, Via
from app.audit.service import record, record_alone
from app.identity import new_id
from app.platform import Platform
from app.rules import EVERY_SCOPE, Role, Scope

#: A session ends when it was not seen for so long, and at its end in any case.
IDLE: Final = timedelta(minutes=30)
ABSOLUTE: Final = timedelta(hours=12)
_MOST_SESSIONS: Final = 20
#: Requests that were sent with a session's old name when it got another one are answered still.
_ROTATION_GRACE: Final = timedelta(seconds=10)

_LONGEST_USER_AGENT: Final = 300


@dataclass(frozen=True, slots=True)
class Authenticated:
    """Whose token it is. `is_to_rotate`: the session is to get another name; `renew` gives it."""

    principal: Principal
    session_id: UUID | None
    is_to_rotate: bool


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A new session and its name, which is shown this once."""

    session: UserSession
    token: str
    user: User


def authenticate(platform: Platform, token: str, actor: Actor, *, is_key: bool) -> Authenticated | None:
    """Whose token this is, if it lets anybody in. A key is never taken for a session, nor a session for a key."""
    if is_key and not tokens.is_key(token):
        return None
    with platform.database.statement() as connection:
        found = credential_queries.authenticate(connection, tokens.digest_of(token), idle=IDLE)
    if found is None or is_key != (found.session_id is None):
        return None
    known = Actor(
        user_id=found.user_id,
        name=found.email,
        via=Via.API_KEY if is_key else Via.SESSION,
        credential_id=found.api_key_id if is_key else found.session_id,
        address=actor.address,
        correlation_id=actor.correlation_id,
    )
    principal = Principal(
        user_id=found.user_id,
        email=found.email,
        name=found.name,
        role=Role(found.role),
        groups=frozenset(found.groups),
        actor=known,
        scopes=EVERY_SCOPE if found.scopes is None else _scopes(tuple(found.scopes)),
        is_replaced=is_key and found.is_replaced,
        executions_per_minute=found.executions_per_minute,
    )
    return Authenticated(principal, found.session_id, bool(found.is_to_rotate) and not found.is_replaced)


def sign_in(platform: Platform, actor: Actor, *, email: str, password: str, user_agent: str) -> SignedIn:
    """Begin a session. Raises SignInFailed, always after the same work, and TooManyAttempts."""
    email = email.lower()
    waiter = attempts.take_to_sign_in(platform, email, actor.address)
    with platform.database.reading() as session:
        user = queries.user_by_email(session, email)
    is_right = passwords.hashing().verify(password, None if user is None else user.password, waiter)
    if user is None or not is_right or not user.enabled:
        who = None if user is None else user.id
        record_alone(platform, actor, Act("session.create", who, after={"email": email}, outcome=Outcome.REFUSED))
        raise SignInFailed
    is_outdated = passwords.hashing().is_outdated(user.password or "")
    rehashed = passwords.hashing().hash(password, waiter) if is_outdated else None
    with platform.database.transaction() as session:
        found = queries.lock_user(session, user.id)
        # While the password was looked at, another may have taken its place.
        if found is None or not found.enabled or queries.password_of(session, user.id) != user.password:
            raise SignInFailed
        if rehashed is not None:
            found.password = rehashed
        return begin_session(session, found, actor, user_agent=user_agent)


def begin_session(
    session: Session, user: User, actor: Actor, *, user_agent: str, identity: Identity | None = None
) -> SignedIn:
    """Sign a user in, in the caller's transaction: who they are was proved before, elsewhere where an identity is
    given, with which the session ends. The oldest sessions make room.
    """
    now = queries.now(session)
    credential_queries.end_oldest_sessions(session, user.id, but=_MOST_SESSIONS - 1)
    begun = UserSession(
        id=new_id(),
        user_id=user.id,
        address=actor.address,
        user_agent=user_agent[:_LONGEST_USER_AGENT],
        created_at=now,
        last_seen_at=now,
        expires_at=now + ABSOLUTE,
        is_to_rotate=False,
        identity_id=None if identity is None else identity.id,
    )
    user.last_sign_in_at = now
    if actor.address is not None:
        credential_queries.remember_address(session, user.id, attempts.bucket(actor.address))
    token = tokens.new_session()
    session.add(begun)
    session.flush()
    session.add(Token(digest=tokens.digest_of(token), session_id=begun.id))
    known = Actor(user.id, user.email, Via.SESSION, begun.id, actor.address, actor.correlation_id)
    record(
        session, known, Act("session.create", begun.id, after=None if identity is None else {"issuer": identity.issuer})
    )
    return SignedIn(begun, token, user)


def renew(platform: Platform, session_id: UUID) -> str | None:
    """Give a session another name where it is to have one; the old one is good for a few seconds more."""
    with platform.database.transaction() as session:
        if not credential_queries.is_still_to_rotate(session, session_id):
            return None
        credential_queries.replace_tokens(session, grace=_ROTATION_GRACE, session_id=session_id, api_key_id=None)
        token = tokens.new_session()
        session.add(Token(digest=tokens.digest_of(token), session_id=session_id))
        return token


def sessions(platform: Platform, user_id: UUID) -> Sequence[UserSession]:
    """A user's sessions, newest first."""
    with platform.database.reading() as session:
        return credential_queries.sessions(session, user_id)


def end_session(platform: Platform, principal: Principal, session_id: UUID) -> None:
    """Sign out. Others' sessions are not there, but for administrators."""
    with platform.database.transaction() as session:
        found = session.get(UserSession, session_id, with_for_update=True)
        if found is None or not is_theirs(principal, found.user_id):
            raise NotFound
        session.delete(found)
        record(session, principal.actor, Act("session.delete", session_id, before={"userId": found.user_id}))


def end_other_sessions(platform: Platform, principal: Principal) -> None:
    """Sign out everywhere but in the session that asks; raises NotFound where none does."""
    if principal.actor.via is not Via.SESSION:
        raise NotFound
    with platform.database.transaction() as session:
        others = credential_queries.end_sessions(session, principal.user_id, but=principal.actor.credential_id)
        act = Act("session.delete_others", principal.user_id, before={"sessions": others})
        record(session, principal.actor, act)


def hold_caller(session: Session, principal: Principal) -> None:
    """Keep whoever asks from being deleted until the transaction ends; raises Unauthenticated where they are gone."""
    if queries.hold_user(session, principal.user_id) is None:
        raise Unauthenticated


def create_key(
    platform: Platform,
    principal: Principal,
    *,
    name: str,
    scopes: Collection[Scope] | None,
    expires_at: datetime | None,
    executions_per_minute: int | None = None,
) -> tuple[ApiKey, str]:
    """Make a key of one's own; answers it with its text, this once. It may do no more than what makes it, nor more
    often, and where that is a key ends no later. Raises ScopeMissing, ExpiryRefused, KeyReplaced, and Unauthenticated
    where the user is deleted, or the key that makes it revoked, at this moment.
    """
    principal.check_is_current()
    wanted = principal.scopes if scopes is None else frozenset(scopes)
    _check_scopes(principal, wanted)
    with platform.database.transaction() as session:
        hold_caller(session, principal)
        now = queries.now(session)
        latest = _latest_end(session, principal, now)
        expires_at = expires_at or min(now + timedelta(days=KEY_DAYS), latest)
        if not now < expires_at <= latest:
            raise ExpiryRefused(MOST_KEY_DAYS)
        text = tokens.new_key()
        made = credential_queries.add_key(
            session,
            principal.user_id,
            text,
            name=name,
            scopes=wanted,
            expires_at=expires_at,
            executions_per_minute=_rate_of_new(platform, principal, executions_per_minute),
        )
        record(session, principal.actor, Act("api_key.create", made.id, after=_state(made)))
        return made, text


def api_keys(platform: Platform, user_id: UUID, *, before: UUID | None, limit: int) -> Sequence[ApiKey]:
    """A user's newest keys before an id."""
    with platform.database.reading() as session:
        return credential_queries.api_keys(session, user_id, before=before, limit=limit)


def api_key(platform: Platform, principal: Principal, key_id: UUID) -> ApiKey:
    """One key; others' are not there, but for administrators."""
    with platform.database.reading() as session:
        found = session.get(ApiKey, key_id)
        if found is None or not is_theirs(principal, found.user_id):
            raise NotFound
        return found


def rotate_key(platform: Platform, principal: Principal, key_id: UUID, *, overlap_seconds: int) -> tuple[ApiKey, str]:
    """Give a key of one's own another text; the old one is good for so long more. Raises NotFound, ScopeMissing,
    KeyFaster and KeyReplaced.
    """
    principal.check_is_current()
    with platform.database.transaction() as session:
        found = credential_queries.lock_api_key(session, key_id)
        if found is None or found.user_id != principal.user_id:
            raise NotFound
        _check_scopes(principal, frozenset(map(Scope, found.scopes)))
        _check_rate(platform, principal, found.executions_per_minute)
        credential_queries.replace_tokens(
            session, grace=timedelta(seconds=overlap_seconds), session_id=None, api_key_id=key_id
        )
        text = tokens.new_key()
        session.add(Token(digest=tokens.digest_of(text), api_key_id=key_id))
        found.hint, found.rotated_at = tokens.hint_of(text), queries.now(session)
        record(session, principal.actor, Act("api_key.rotate", key_id, after={"overlapSeconds": overlap_seconds}))
        return found, text


def revoke_key(platform: Platform, principal: Principal, key_id: UUID) -> None:
    """End a key at once."""
    with platform.database.transaction() as session:
        found = credential_queries.lock_api_key(session, key_id)
        if found is None or not is_theirs(principal, found.user_id):
            raise NotFound
        session.delete(found)
        record(session, principal.actor, Act("api_key.delete", key_id, before=_state(found)))


def forget_ended(connection: Connection) -> None:
    """Remove what lets nobody in any more, and where users have not signed in from for long."""
    credential_queries.forget_ended(connection, idle=IDLE, known=attempts.KNOWN)


def _latest_end(session: Session, principal: Principal, now: datetime) -> datetime:
    """When a key ends at the latest that somebody makes: no key leaves behind one that is there longer."""
    latest = now + timedelta(days=MOST_KEY_DAYS)
    if principal.actor.via is not Via.API_KEY or principal.actor.credential_id is None:
        return latest
    maker = credential_queries.hold_api_key(session, principal.actor.credential_id)
    if maker is None:
        raise Unauthenticated
    return min(latest, maker.expires_at)


def _check_scopes(principal: Principal, wanted: frozenset[Scope]) -> None:
    """A key makes and renews none that may do more than it may itself."""
    for scope in sorted(wanted - principal.scopes):
        raise ScopeMissing(scope)


def _rate_of_new(platform: Platform, principal: Principal, wanted: int | None) -> int | None:
    """The rate that a key is given: no higher than that of a key that makes it. Where neither has one of its own, what
    is set for all holds for both.
    """
    wanted = wanted or principal.executions_per_minute
    most = principal.key_rate(platform.settings.key_executions_per_minute)
    return wanted if wanted is None or most is None else min(wanted, most)


def _check_rate(platform: Platform, principal: Principal, own: int | None) -> None:
    """A key renews none that may have more executed in a minute than it may itself."""
    default = platform.settings.key_executions_per_minute
    most, rate = principal.key_rate(default), key_rate(own, default)
    if most is not None and (rate is None or rate > most):
        raise KeyFaster


@lru_cache(maxsize=256)
def _scopes(names: tuple[str, ...]) -> frozenset[Scope]:
    return frozenset(scope for scope in Scope if scope in names)


def is_theirs(principal: Principal, user_id: UUID) -> bool:
    """Whether what lets a user in is there for somebody to see and to end."""
    return principal.is_admin or principal.user_id == user_id


def _state(key: ApiKey) -> dict[str, object]:
    """What the audit shows of a key."""
    return {
        "userId": key.user_id,
        "name": key.name,
        "scopes": list(key.scopes),
        "expiresAt": key.expires_at,
        "executionsPerMinute": key.executions_per_minute,
    }
