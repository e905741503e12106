"""Statements on what lets somebody in, and on who tries too often. AUTHENTICATE is asked by every request."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection, Select, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import ReturningDelete

from app.accounts.models import ApiKey, BegunSignIn, Identity, KnownAddress, Token, User, UserSession
from app.accounts.queries import now
from app.accounts.tokens import digest_of, hint_of
from app.identity import new_id
from app.rules import Scope

#: Whose token this is: the user as they are at this moment, and the session or key. Nothing for a token that is
#: unknown, was replaced, has ended, or whose user is disabled. It only reads, so its plan is kept and costs no locks.
AUTHENTICATE = """
SELECT token.session_id, token.api_key_id, token.replaced_until IS NOT NULL AS is_replaced, session.is_to_rotate,
       coalesce(session.last_seen_at, key.last_used_at) < now() - interval '1 minute' IS NOT FALSE AS is_to_touch,
       key.scopes, key.executions_per_minute, "user".id, "user".email, "user".name, "user".role,
       ARRAY(SELECT group_id FROM memberships WHERE user_id = "user".id) AS groups
FROM tokens AS token
LEFT JOIN sessions AS session ON session.id = token.session_id
LEFT JOIN api_keys AS key ON key.id = token.api_key_id
JOIN users AS "user" ON "user".id = coalesce(session.user_id, key.user_id) AND "user".enabled
WHERE token.digest = %(digest)s AND coalesce(token.replaced_until > now(), true)
  AND CASE WHEN token.session_id IS NULL THEN key.expires_at > now()
      ELSE session.expires_at > now() AND session.last_seen_at > now() - %(idle)s END
"""

#: Writes that a session or key was used just now. Of many who come at once, one writes and nobody waits.
TOUCH_SESSION = """
UPDATE sessions SET last_seen_at = now() WHERE id = (
    SELECT id FROM sessions WHERE id = %(id)s AND last_seen_at < now() - interval '1 minute' FOR UPDATE SKIP LOCKED
)
"""
TOUCH_KEY = """
UPDATE api_keys SET last_used_at = now() WHERE id = (
    SELECT id FROM api_keys WHERE id = %(id)s AND last_used_at < now() - interval '1 minute' IS NOT FALSE
    FOR UPDATE SKIP LOCKED
)
"""

#: Takes a turn if one is due, by the generic cell rate algorithm: `due_at` is when the next would come if all came
#: evenly, and may lie `burst` turns ahead. Answers the seconds until one is due, 0 where it was taken. Who comes too
#: early is told so by reading alone: they neither lock the row nor wait for each other.
TAKE_TURN = """
WITH taken AS (
    INSERT INTO throttles AS throttle (name, due_at)
    SELECT %(name)s, now() + %(every)s
    WHERE NOT EXISTS (
        SELECT FROM throttles WHERE name = %(name)s AND due_at + %(every)s > now() + %(every)s * %(burst)s
    )
    ON CONFLICT (name) DO UPDATE SET due_at = greatest(throttle.due_at, now()) + %(every)s
    WHERE greatest(throttle.due_at, now()) + %(every)s <= now() + %(every)s * %(burst)s
    RETURNING name
)
SELECT CASE WHEN EXISTS (SELECT FROM taken) THEN 0
    ELSE greatest(0.001, extract(epoch FROM coalesce(
        (SELECT due_at FROM throttles WHERE name = %(name)s), now() + %(every)s * %(burst)s
    ) + %(every)s - %(every)s * %(burst)s - now())) END::double precision
"""

#: Turns that would be due by now say nothing any more.
FORGET_TURNS = "DELETE FROM throttles WHERE due_at < now()"

#: Sessions, keys and replaced tokens that have ended. Those that somebody changes at this moment have time until later.
FORGET_ENDED = """
WITH sessions_gone AS (
    DELETE FROM sessions WHERE id IN (
        SELECT id FROM sessions WHERE expires_at < now() OR last_seen_at < now() - %(idle)s FOR UPDATE SKIP LOCKED
    )
), keys_gone AS (
    DELETE FROM api_keys WHERE id IN (
        SELECT id FROM api_keys WHERE expires_at < now() - interval '30 days' FOR UPDATE SKIP LOCKED
    )
)
DELETE FROM tokens WHERE digest IN (SELECT digest FROM tokens WHERE replaced_until < now() FOR UPDATE SKIP LOCKED)
"""

#: Addresses that nobody has signed in from for long.
FORGET_ADDRESSES = "DELETE FROM known_addresses WHERE last_used_at < now() - %(known)s"

#: Sign-ins that were begun with a provider and not ended in time.
FORGET_BEGUN = "DELETE FROM begun_sign_ins WHERE expires_at < now()"


@dataclass(frozen=True, slots=True)
class Found:
    """What AUTHENTICATE answers."""

    session_id: UUID | None
    api_key_id: UUID | None
    is_replaced: bool
    is_to_rotate: bool | None
    is_to_touch: bool
    scopes: list[str] | None
    executions_per_minute: int | None
    user_id: UUID
    email: str
    name: str
    role: str
    groups: list[UUID]


def authenticate(connection: Connection, digest: bytes, *, idle: timedelta) -> Found | None:
    """Whose token this is. The time of use is written once a minute."""
    row = connection.exec_driver_sql(AUTHENTICATE, {"digest": digest, "idle": idle}).one_or_none()
    if row is None:
        return None
    found = Found(*row)
    if found.is_to_touch:
        connection.exec_driver_sql(
            TOUCH_KEY if found.session_id is None else TOUCH_SESSION, {"id": found.session_id or found.api_key_id}
        )
    return found


def take_turn(connection: Connection, name: str, *, every: timedelta, burst: int) -> float:
    """Take one of `burst` turns, of which one comes back `every` so often; answers the seconds to wait, 0 where it was
    taken.
    """
    parameters = {"name": name, "every": every, "burst": burst}
    return float(connection.exec_driver_sql(TAKE_TURN, parameters).scalar_one())


def forget_ended(connection: Connection, *, idle: timedelta, known: timedelta) -> None:
    """Delete sessions, keys, known addresses, begun sign-ins and throttles that say nothing any more."""
    connection.exec_driver_sql(FORGET_ENDED, {"idle": idle})
    connection.exec_driver_sql(FORGET_ADDRESSES, {"known": known})
    connection.exec_driver_sql(FORGET_TURNS)
    connection.exec_driver_sql(FORGET_BEGUN)


def sessions(session: Session, user_id: UUID) -> Sequence[UserSession]:
    """A user's sessions, newest first."""
    statement = select(UserSession).where(UserSession.user_id == user_id).order_by(UserSession.id.desc())
    return session.execute(statement).scalars().all()


def has_signed_in_from(connection: Connection, email: str, bucket: str) -> bool:
    """Whether it is known that a user has signed in from an address."""
    statement = select(KnownAddress.user_id).join(User, User.id == KnownAddress.user_id)
    return connection.execute(statement.where(User.email == email, KnownAddress.bucket == bucket)).first() is not None


def remember_address(session: Session, user_id: UUID, bucket: str) -> None:
    """Write that a user has signed in from an address."""
    values = {"user_id": user_id, "bucket": bucket, "last_used_at": func.now()}
    remembered = insert(KnownAddress).values(values)
    key = [KnownAddress.user_id, KnownAddress.bucket]
    session.execute(remembered.on_conflict_do_update(index_elements=key, set_={"last_used_at": func.now()}))


def forget_addresses(session: Session, user_id: UUID, *, but: str | None) -> None:
    """Forget where a user has signed in from, but for one address."""
    forgotten = delete(KnownAddress).where(KnownAddress.user_id == user_id)
    session.execute(forgotten if but is None else forgotten.where(KnownAddress.bucket != but))


def end_sessions(session: Session, user_id: UUID, *, but: UUID | None = None) -> list[UUID]:
    """End all sessions of a user's but one; answers which they were, newest first."""
    wanted = _sessions_of([user_id])
    ended = _end(wanted if but is None else wanted.where(UserSession.id != but))
    return sorted(session.execute(ended).scalars(), reverse=True)


def end_sessions_by(session: Session, identity_id: UUID) -> None:
    """End all sessions that began with an identity."""
    wanted = select(UserSession.id).where(UserSession.identity_id == identity_id).order_by(UserSession.id)
    session.execute(_end(wanted))


def end_oldest_sessions(session: Session, user_id: UUID, *, but: int) -> None:
    """End all sessions of a user's but so many, of which the latest were seen last."""
    kept = select(UserSession.id).where(UserSession.user_id == user_id).order_by(UserSession.last_seen_at.desc())
    session.execute(_end(_sessions_of([user_id]).where(UserSession.id.not_in(kept.limit(but)))))


def rotate_sessions(session: Session, user_ids: Collection[UUID]) -> None:
    """Have all sessions of these users get another name with their next request."""
    wanted = _sessions_of(user_ids).with_for_update(key_share=True)
    session.execute(update(UserSession).where(UserSession.id.in_(wanted)).values(is_to_rotate=True))


def hold_session(session: Session, session_id: UUID) -> bool:
    """Keep a session from being ended until the transaction ends; answers whether it is there."""
    statement = select(UserSession.id).where(UserSession.id == session_id)
    return session.execute(statement.with_for_update(read=True, key_share=True)).first() is not None


def _sessions_of(user_ids: Collection[UUID]) -> Select[tuple[UUID]]:
    """All sessions of these users, to be locked in this order."""
    return select(UserSession.id).where(UserSession.user_id.in_(user_ids)).order_by(UserSession.id)


def _end(wanted: Select[tuple[UUID]]) -> ReturningDelete[tuple[UUID]]:
    return delete(UserSession).where(UserSession.id.in_(wanted.with_for_update())).returning(UserSession.id)


def is_still_to_rotate(session: Session, session_id: UUID) -> bool:
    """Whether a session is to get another name; whoever asks first is told so."""
    statement = update(UserSession).where(UserSession.id == session_id, UserSession.is_to_rotate)
    done = statement.values(is_to_rotate=False).returning(UserSession.id)
    return session.execute(done).first() is not None


def replace_tokens(session: Session, *, grace: timedelta, session_id: UUID | None, api_key_id: UUID | None) -> None:
    """Have what lets somebody in by now be good for no longer than a while."""
    owned = Token.session_id == session_id if api_key_id is None else Token.api_key_id == api_key_id
    ends = func.least(Token.replaced_until, func.now() + grace)  # Of what is null it takes no notice.
    session.execute(update(Token).where(owned).values(replaced_until=ends))


def api_keys(session: Session, user_id: UUID, *, before: UUID | None, limit: int) -> Sequence[ApiKey]:
    """A user's newest keys before an id."""
    statement = select(ApiKey).where(ApiKey.user_id == user_id).order_by(ApiKey.id.desc()).limit(limit)
    if before is not None:
        statement = statement.where(ApiKey.id < before)
    return session.execute(statement).scalars().all()


def add_key(
    session: Session,
    user_id: UUID,
    text: str,
    *,
    name: str,
    scopes: Collection[Scope],
    expires_at: datetime,
    executions_per_minute: int | None = None,
) -> ApiKey:
    """Write a key, and the digest of its text."""
    key = ApiKey(
        id=new_id(),
        user_id=user_id,
        name=name,
        hint=hint_of(text),
        scopes=sorted(scopes),
        executions_per_minute=executions_per_minute,
        created_at=now(session),
        expires_at=expires_at,
    )
    session.add(key)
    session.flush()
    session.add(Token(digest=digest_of(text), api_key_id=key.id))
    return key


def lock_api_key(session: Session, key_id: UUID) -> ApiKey | None:
    """One key, for a change."""
    return session.execute(select(ApiKey).where(ApiKey.id == key_id).with_for_update()).scalar_one_or_none()


def hold_api_key(session: Session, key_id: UUID) -> ApiKey | None:
    """The same, kept from being revoked until the transaction ends."""
    statement = select(ApiKey).where(ApiKey.id == key_id)
    return session.execute(statement.with_for_update(read=True, key_share=True)).scalar_one_or_none()


def identity(session: Session, issuer: str, subject: str) -> Identity | None:
    """The identity that a provider has named."""
    statement = select(Identity).where(Identity.issuer == issuer, Identity.subject == subject)
    return session.execute(statement).scalar_one_or_none()


def lock_identity(session: Session, identity_id: UUID) -> Identity | None:
    """One identity, for a change. Whoever changes it has locked its user before."""
    statement = select(Identity).where(Identity.id == identity_id).with_for_update()
    return session.execute(statement.execution_options(populate_existing=True)).scalar_one_or_none()


def identities(session: Session, user_id: UUID) -> Sequence[Identity]:
    """A user's identities, newest first."""
    statement = select(Identity).where(Identity.user_id == user_id).order_by(Identity.id.desc())
    return session.execute(statement).scalars().all()


def add_identity(session: Session, user_id: UUID, issuer: str, subject: str) -> Identity:
    """Write who a user is elsewhere."""
    made = Identity(id=new_id(), user_id=user_id, issuer=issuer, subject=subject, created_at=now(session))
    session.add(made)
    session.flush()
    return made


def add_begun_sign_in(
    session: Session, browser: str, *, provider: str, next_address: str, session_id: UUID | None, lasting: timedelta
) -> None:
    """Write that a browser was sent to a provider."""
    session.add(
        BegunSignIn(
            digest=digest_of(browser),
            provider=provider,
            next_address=next_address,
            session_id=session_id,
            expires_at=now(session) + lasting,
        )
    )


def take_begun_sign_in(session: Session, browser: str) -> BegunSignIn | None:
    """What a browser has begun and not ended; whoever asks first gets it."""
    taken = delete(BegunSignIn).where(BegunSignIn.digest == digest_of(browser), BegunSignIn.expires_at > func.now())
    return session.execute(taken.returning(BegunSignIn)).scalar_one_or_none()
