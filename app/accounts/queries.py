"""Statements on accounts. AUTHENTICATE is asked by every request."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, undefer

from app.accounts.domain import Principal
from app.accounts.models import ApiKey, BegunSignIn, Group, Identity, Membership, Token, User, UserSession
from app.accounts.tokens import digest_of, hint_of
from app.identity import new_id
from app.rules import Role, Scope

#: Whose token this is: the user as they are at this moment, and the session or key. Nothing for a token that is
#: unknown, was replaced, has ended, or whose user is disabled. It only reads, so its plan is kept and costs no locks.
AUTHENTICATE = """
SELECT token.session_id, token.api_key_id, token.replaced_until IS NOT NULL AS is_replaced, session.is_to_rotate,
       coalesce(session.last_seen_at, key.last_used_at) < now() - interval '1 minute' IS NOT FALSE AS is_to_touch,
       key.scopes, "user".id, "user".email, "user".name, "user".role,
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

#: Sessions, keys and replaced tokens that have ended.
FORGET_ENDED = """
WITH sessions_gone AS (
    DELETE FROM sessions WHERE expires_at < now() OR last_seen_at < now() - %(idle)s
), keys_gone AS (
    DELETE FROM api_keys WHERE expires_at < now() - interval '30 days'
)
DELETE FROM tokens WHERE replaced_until < now()
"""

#: Sign-ins that were begun with a provider and not ended in time.
FORGET_BEGUN = "DELETE FROM begun_sign_ins WHERE expires_at < now()"


#: Everybody, among those who may see something.
EVERYBODY = UUID(int=0)


def visible(alias: str) -> str:
    """The condition that `can_access` is, in SQL, for a row with `allowed_users` and `allowed_groups`; its parameters
    are `viewer`'s.
    """
    return f"""(%(sees_all)s OR cardinality({alias}.allowed_users || {alias}.allowed_groups) = 0
        OR %(viewer_id)s = ANY ({alias}.allowed_users) OR {alias}.allowed_groups && %(viewer_groups)s::uuid[])"""


def viewer(principal: Principal) -> dict[str, Any]:
    """The parameters of `visible`."""
    return {
        "sees_all": principal.is_admin,
        "viewer_id": principal.user_id,
        "viewer_groups": list(principal.groups),
    }


def audiences(principal: Principal) -> list[UUID]:
    """All that a user is, for lists of what is shared."""
    return [EVERYBODY, principal.user_id, *principal.groups]


@dataclass(frozen=True, slots=True)
class Found:
    """What AUTHENTICATE answers."""

    session_id: UUID | None
    api_key_id: UUID | None
    is_replaced: bool
    is_to_rotate: bool | None
    is_to_touch: bool
    scopes: list[str] | None
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


def forget_ended(connection: Connection, *, idle: timedelta) -> None:
    """Delete sessions, keys, begun sign-ins and throttles that say nothing any more."""
    connection.exec_driver_sql(FORGET_ENDED, {"idle": idle})
    connection.exec_driver_sql(FORGET_TURNS)
    connection.exec_driver_sql(FORGET_BEGUN)


def now(session: Session) -> datetime:
    """The database's time at the beginning of the transaction."""
    moment: datetime = session.execute(select(func.now())).scalar_one()
    return moment


def user(session: Session, user_id: UUID) -> User | None:
    """One user."""
    return session.get(User, user_id)


def lock_user(session: Session, user_id: UUID) -> User | None:
    """The same, for a change."""
    return session.execute(select(User).where(User.id == user_id).with_for_update()).scalar_one_or_none()


def user_by_email(session: Session, email: str) -> User | None:
    """The user with an address, and their password."""
    statement = select(User).where(User.email == email).options(undefer(User.password))
    return session.execute(statement).scalar_one_or_none()


def password_of(session: Session, user_id: UUID) -> str | None:
    """The hash of a user's password."""
    return session.execute(select(User.password).where(User.id == user_id)).scalar_one_or_none()


def users(session: Session, *, before: UUID | None, limit: int, find: str | None = None) -> Sequence[User]:
    """The newest users before an id; those with `find` in their name or address, in whatever case."""
    statement = select(User).order_by(User.id.desc()).limit(limit)
    if before is not None:
        statement = statement.where(User.id < before)
    if find is not None:
        has_it = User.name.icontains(find, autoescape=True) | User.email.icontains(find, autoescape=True)
        statement = statement.where(has_it)
    return session.execute(statement).scalars().all()


def is_anybody(session: Session) -> bool:
    """Whether there is a user."""
    return session.execute(select(User.id).limit(1)).first() is not None


def lock_administrators(session: Session) -> Collection[UUID]:
    """The enabled administrators; nobody else changes who they are until the transaction ends."""
    statement = select(User.id).where(User.role == Role.ADMIN, User.enabled).order_by(User.id).with_for_update()
    return session.execute(statement).scalars().all()


def groups_of(session: Session, user_ids: Collection[UUID]) -> dict[UUID, list[UUID]]:
    """By user, the groups that they are in."""
    found: dict[UUID, list[UUID]] = {user_id: [] for user_id in user_ids}
    statement = select(Membership.user_id, Membership.group_id).where(Membership.user_id.in_(user_ids))
    for user_id, group_id in session.execute(statement.order_by(Membership.group_id)):
        found[user_id].append(group_id)
    return found


def group(session: Session, group_id: UUID) -> Group | None:
    """One group."""
    return session.get(Group, group_id)


def groups(session: Session, *, before: UUID | None, limit: int, find: str | None = None) -> Sequence[Group]:
    """The newest groups before an id; those with `find` in their name, in whatever case."""
    statement = select(Group).order_by(Group.id.desc()).limit(limit)
    if before is not None:
        statement = statement.where(Group.id < before)
    if find is not None:
        statement = statement.where(Group.name.icontains(find, autoescape=True))
    return session.execute(statement).scalars().all()


def members(session: Session, group_id: UUID, *, before: UUID | None, limit: int) -> Sequence[User]:
    """The newest users of a group before an id."""
    statement = select(User).join(Membership, Membership.user_id == User.id).where(Membership.group_id == group_id)
    if before is not None:
        statement = statement.where(User.id < before)
    return session.execute(statement.order_by(User.id.desc()).limit(limit)).scalars().all()


def join(session: Session, group_id: UUID, user_id: UUID) -> bool:
    """Put a user into a group; answers whether they were not in it by somebody's hand. Where a provider had put them,
    it does not take them out again.
    """
    values = {"group_id": group_id, "user_id": user_id, "created_at": func.now()}
    joined = (
        insert(Membership)
        .values(values)
        .on_conflict_do_update(
            index_elements=[Membership.group_id, Membership.user_id],
            set_={"issuer": None},
            where=Membership.issuer.is_not(None),
        )
    )
    return session.execute(joined.returning(Membership.user_id)).first() is not None


def join_by(session: Session, user_id: UUID, group_ids: Collection[UUID], issuer: str) -> Sequence[UUID]:
    """Put a user into groups because a provider says so; answers those that they were not in."""
    if not group_ids:
        return []
    rows = [{"group_id": one, "user_id": user_id, "created_at": func.now(), "issuer": issuer} for one in group_ids]
    joined = insert(Membership).values(rows).on_conflict_do_nothing().returning(Membership.group_id)
    return session.execute(joined).scalars().all()


def leave_by(session: Session, user_id: UUID, issuer: str, *, but: Collection[UUID]) -> Sequence[UUID]:
    """Take a user out of all groups but these that a provider had put them into; answers which."""
    left = delete(Membership).where(
        Membership.user_id == user_id, Membership.issuer == issuer, Membership.group_id.not_in(but)
    )
    return session.execute(left.returning(Membership.group_id)).scalars().all()


def groups_by_name(session: Session, names: Collection[str]) -> dict[str, UUID]:
    """Those of these groups that exist."""
    return dict(session.execute(select(Group.name, Group.id).where(Group.name.in_(names))).tuples().all())


def leave(session: Session, group_id: UUID, user_id: UUID) -> bool:
    """Take a user out of a group; answers whether they were in it."""
    left = delete(Membership).where(Membership.group_id == group_id, Membership.user_id == user_id)
    return session.execute(left.returning(Membership.user_id)).first() is not None


def members_of(session: Session, group_id: UUID) -> Sequence[UUID]:
    """All users of a group."""
    return session.execute(select(Membership.user_id).where(Membership.group_id == group_id)).scalars().all()


def absent(session: Session, kind: type[User] | type[Group], ids: Collection[UUID]) -> set[UUID]:
    """Which of these do not exist."""
    return set(ids) - set(session.execute(select(kind.id).where(kind.id.in_(ids))).scalars())


def names(session: Session, kind: type[User] | type[Group], ids: Collection[UUID]) -> dict[UUID, str]:
    """What those of these that exist are called."""
    return dict(session.execute(select(kind.id, kind.name).where(kind.id.in_(ids))).tuples().all())


def sessions(session: Session, user_id: UUID) -> Sequence[UserSession]:
    """A user's sessions, newest first."""
    statement = select(UserSession).where(UserSession.user_id == user_id).order_by(UserSession.id.desc())
    return session.execute(statement).scalars().all()


def has_signed_in_from(connection: Connection, email: str, address: str) -> bool:
    """Whether a user has a session that came from an address."""
    statement = select(UserSession.id).join(User, User.id == UserSession.user_id)
    wanted = statement.where(User.email == email, UserSession.address == address)
    return connection.execute(wanted.limit(1)).first() is not None


def end_sessions(session: Session, user_id: UUID, *, but: UUID | None = None) -> None:
    """End all sessions of a user's but one."""
    ended = delete(UserSession).where(UserSession.user_id == user_id)
    session.execute(ended if but is None else ended.where(UserSession.id != but))


def end_oldest_sessions(session: Session, user_id: UUID, *, but: int) -> None:
    """End all sessions of a user's but so many, of which the latest were seen last."""
    kept = select(UserSession.id).where(UserSession.user_id == user_id).order_by(UserSession.last_seen_at.desc())
    session.execute(delete(UserSession).where(UserSession.user_id == user_id, UserSession.id.not_in(kept.limit(but))))


def rotate_sessions(session: Session, user_ids: Collection[UUID]) -> None:
    """Have all sessions of these users get another name with their next request."""
    session.execute(update(UserSession).where(UserSession.user_id.in_(user_ids)).values(is_to_rotate=True))


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


def add_user(session: Session, *, email: str, name: str, role: Role, password: str | None) -> User:
    """Write an enabled user with the hash of their password."""
    moment = now(session)
    user = User(
        id=new_id(),
        email=email,
        name=name,
        role=role,
        enabled=True,
        password=password,
        created_at=moment,
        updated_at=moment,
    )
    session.add(user)
    session.flush()
    return user


def add_key(
    session: Session, user_id: UUID, text: str, *, name: str, scopes: Collection[Scope], expires_at: datetime
) -> ApiKey:
    """Write a key, and the digest of its text."""
    key = ApiKey(
        id=new_id(),
        user_id=user_id,
        name=name,
        hint=hint_of(text),
        scopes=sorted(scopes),
        created_at=now(session),
        expires_at=expires_at,
    )
    session.add(key)
    session.flush()
    session.add(Token(digest=digest_of(text), api_key_id=key.id))
    return key


def first_administrator(session: Session) -> User | None:
    """The enabled administrator who is here longest."""
    statement = select(User).where(User.role == Role.ADMIN, User.enabled).order_by(User.id).limit(1)
    return session.execute(statement).scalar_one_or_none()


def lock_api_key(session: Session, key_id: UUID) -> ApiKey | None:
    """One key, for a change."""
    return session.execute(select(ApiKey).where(ApiKey.id == key_id).with_for_update()).scalar_one_or_none()


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
