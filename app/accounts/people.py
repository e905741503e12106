"""The verbs of users and groups. Who may use them is for the edge to say; who did is written with each."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.accounts import attempts, credential_queries, passwords, queries
from app.accounts.domain import (
    EmailTaken,
    Forbidden,
    GroupNameTaken,
    LastAdministrator,
    NotFound,
    Principal,
    UnknownReference,
    WrongPassword,
    changed,
)
from app.accounts.models import Group, User
from app.accounts.passwords import Waiter
from app.audit.domain import Act, Actor, Via
from app.audit.service import record
from app.identity import new_id
from app.platform import Platform
from app.rules import Role

Check = Callable[[Session], None]


@dataclass(frozen=True, slots=True)
class Person:
    """A user with the groups that they are in."""

    user: User
    groups: list[UUID]


def create_user(
    platform: Platform, principal: Principal, *, email: str, name: str, role: Role, password: str | None
) -> Person:
    """Make an account; without a password its user signs in elsewhere, or is given one later. Raises EmailTaken,
    PasswordRefused and ScopeMissing.
    """
    _check_may_let_in(principal, {"role": role, "password": password})
    email = email.lower()
    hashed = None if password is None else _hashed(principal.actor, password, email, name)
    try:
        with platform.database.transaction() as session:
            made = add_user(session, principal.actor, email=email, name=name, role=role, password=hashed)
            return Person(made, [])
    except IntegrityError as error:
        raise EmailTaken(email) from error


def add_user(session: Session, actor: Actor, *, email: str, name: str, role: Role, password: str | None) -> User:
    """Make an account in the caller's transaction, with the hash of a password."""
    user = queries.add_user(session, email=email, name=name, role=role, password=password)
    record(session, actor, Act("user.create", user.id, after=_state(user)))
    return user


def user(platform: Platform, user_id: UUID) -> Person:
    """One user; raises NotFound."""
    with platform.database.reading() as session:
        found = queries.user(session, user_id)
        if found is None:
            raise NotFound
        return Person(found, queries.groups_of(session, [user_id])[user_id])


def has_password(platform: Platform, user_id: UUID) -> bool:
    """Whether a user signs in with a password."""
    with platform.database.reading() as session:
        return queries.password_of(session, user_id) is not None


def users(platform: Platform, *, before: UUID | None, limit: int, find: str | None = None) -> list[Person]:
    """The newest users before an id; those with `find` in their name or address where it is given."""
    with platform.database.reading() as session:
        return _people(session, queries.users(session, before=before, limit=limit, find=find))


def names(platform: Platform, *, users: Collection[UUID] = (), groups: Collection[UUID] = ()) -> dict[UUID, str]:
    """What users and groups are called, without those that do not exist any more."""
    with platform.database.reading() as session:
        return queries.names(session, User, users) | queries.names(session, Group, groups)


def change_user(platform: Platform, principal: Principal, user_id: UUID, changes: Mapping[str, Any]) -> Person:
    """Change `name`, `role`, `enabled` or `password`. Whoever is disabled, or gets another password, is signed out
    everywhere, and it is forgotten where they have signed in from; whoever gets other rights has their sessions
    renamed. Raises NotFound, LastAdministrator,
    PasswordRefused and ScopeMissing.
    """
    _check_may_let_in(principal, changes)
    return _change_user(platform, principal.actor, user_id, changes, but=None, check=lambda _: None)


def change_own(
    platform: Platform, principal: Principal, changes: Mapping[str, Any], *, current_password: str | None
) -> Person:
    """Change one's own `name` or `password`, the latter with the current one; one's other sessions end with that. Who
    has none, and signs in elsewhere, is given one by a session alone: a key must not become a session. Raises
    Forbidden, WrongPassword, PasswordRefused and TooManyAttempts.
    """
    kept = None
    if "password" in changes:
        with platform.database.reading() as session:
            kept = queries.password_of(session, principal.user_id)
        if kept is None and principal.actor.via is Via.API_KEY:
            raise Forbidden
        attempts.take_to_set_password(platform, principal.user_id)
        waiter = _waiter(principal.actor)
        if kept is not None and not passwords.hashing().verify(current_password or "", kept, waiter):
            raise WrongPassword

    def check(session: Session) -> None:
        # While the current password was looked at, another may have taken its place.
        if "password" in changes and queries.password_of(session, principal.user_id) != kept:
            raise WrongPassword

    but = principal.actor.credential_id
    return _change_user(platform, principal.actor, principal.user_id, changes, but=but, check=check)


def _check_may_let_in(principal: Principal, given: Mapping[str, Any]) -> None:
    """Whether somebody may give a user this. A password, or the role of an administrator, is the way to everything, so
    a key that may be used for less must not give it; raises ScopeMissing.
    """
    if given.get("password") is not None or given.get("role") == Role.ADMIN:
        principal.check_is_whole()


def _change_user(
    platform: Platform, actor: Actor, user_id: UUID, changes: Mapping[str, Any], *, but: UUID | None, check: Check
) -> Person:
    values = dict(changes)
    if "password" in values:
        about = user(platform, user_id).user
        values["password"] = _hashed(actor, values["password"], about.email, about.name)
    with platform.database.transaction() as session:
        administrators = queries.lock_administrators(session)
        found = queries.lock_user(session, user_id)
        if found is None:
            raise NotFound
        check(session)
        before = _state(found)
        for name, value in values.items():
            setattr(found, name, value)
        if user_id in administrators and not (found.role == Role.ADMIN and found.enabled) and len(administrators) == 1:
            raise LastAdministrator
        if "password" in values or not found.enabled:
            credential_queries.end_sessions(session, user_id, but=but if found.enabled else None)
        if "password" in values:
            # Whoever knew the old one may have signed in from anywhere.
            own = attempts.bucket(actor.address) if actor.user_id == user_id else None
            credential_queries.forget_addresses(session, user_id, but=own)
        if found.role != before["role"] or "password" in values:
            credential_queries.rotate_sessions(session, [user_id])
        old, new = changed(before, _state(found))
        if "password" in values:
            new["isPasswordNew"] = True
        if new:
            found.updated_at = queries.now(session)
            record(session, actor, Act("user.update", user_id, before=old, after=new))
        return Person(found, queries.groups_of(session, [user_id])[user_id])


def delete_user(platform: Platform, actor: Actor, user_id: UUID) -> None:
    """Remove an account with its sessions and keys. What was shared with it stays shared with nobody: a list of users
    that named only this one does not become empty, which would be everybody.
    """
    with platform.database.transaction() as session:
        administrators = queries.lock_administrators(session)
        found = queries.lock_user(session, user_id)
        if found is None:
            raise NotFound
        if list(administrators) == [user_id]:
            raise LastAdministrator
        credential_queries.end_sessions(session, user_id)
        session.delete(found)
        record(session, actor, Act("user.delete", user_id, before=_state(found)))


def create_group(platform: Platform, actor: Actor, *, name: str, description: str) -> Group:
    """Make a group of nobody."""
    try:
        with platform.database.transaction() as session:
            now = queries.now(session)
            group = Group(id=new_id(), name=name, description=description, created_at=now, updated_at=now)
            session.add(group)
            session.flush()
            record(session, actor, Act("group.create", group.id, after=_group_state(group)))
            return group
    except IntegrityError as error:
        raise GroupNameTaken(name) from error


def group(platform: Platform, group_id: UUID) -> Group:
    """One group; raises NotFound."""
    with platform.database.reading() as session:
        return _there(queries.group(session, group_id))


def groups(platform: Platform, *, before: UUID | None, limit: int, find: str | None = None) -> Sequence[Group]:
    """The newest groups before an id; those with `find` in their name where it is given."""
    with platform.database.reading() as session:
        return queries.groups(session, before=before, limit=limit, find=find)


def change_group(platform: Platform, actor: Actor, group_id: UUID, changes: Mapping[str, Any]) -> Group:
    """Change `name` or `description`. Raises NotFound and GroupNameTaken."""
    try:
        with platform.database.transaction() as session:
            found = _there(queries.lock_group(session, group_id))
            before = _group_state(found)
            for name, value in changes.items():
                setattr(found, name, value)
            old, new = changed(before, _group_state(found))
            if new:
                found.updated_at = queries.now(session)
                session.flush()
                record(session, actor, Act("group.update", group_id, before=old, after=new))
            return found
    except IntegrityError as error:
        raise GroupNameTaken(str(changes.get("name"))) from error


def delete_group(platform: Platform, actor: Actor, group_id: UUID) -> None:
    """Remove a group. What was shared with it stays shared with nobody, as with users."""
    with platform.database.transaction() as session:
        found = _there(queries.lock_group(session, group_id))
        credential_queries.rotate_sessions(session, queries.members_of(session, group_id))
        session.delete(found)
        record(session, actor, Act("group.delete", group_id, before=_group_state(found)))


def members(platform: Platform, group_id: UUID, *, before: UUID | None, limit: int) -> list[Person]:
    """The newest users of a group before an id."""
    with platform.database.reading() as session:
        _there(queries.group(session, group_id))
        return _people(session, queries.members(session, group_id, before=before, limit=limit))


def add_member(platform: Platform, actor: Actor, group_id: UUID, user_id: UUID) -> Person:
    """Put a user into a group; once more changes nothing."""
    with platform.database.transaction() as session:
        found = queries.hold_user(session, user_id)
        _there(queries.hold_group(session, group_id))
        if found is None:
            raise UnknownReference("user", user_id, "/userId")
        if queries.join(session, group_id, user_id):
            credential_queries.rotate_sessions(session, [user_id])
            record(session, actor, Act("group.add_member", group_id, after={"userId": user_id}))
        return Person(found, queries.groups_of(session, [user_id])[user_id])


def remove_member(platform: Platform, actor: Actor, group_id: UUID, user_id: UUID) -> None:
    """Take a user out of a group; raises NotFound where they are not in it."""
    with platform.database.transaction() as session:
        queries.hold_user(session, user_id)
        _there(queries.hold_group(session, group_id))
        if not queries.leave(session, group_id, user_id):
            raise NotFound
        credential_queries.rotate_sessions(session, [user_id])
        record(session, actor, Act("group.remove_member", group_id, before={"userId": user_id}))


def _people(session: Session, found: Sequence[User]) -> list[Person]:
    groups_by_user = queries.groups_of(session, [one.id for one in found])
    return [Person(one, groups_by_user[one.id]) for one in found]


def _there(found: Group | None) -> Group:
    if found is None:
        raise NotFound
    return found


def _hashed(actor: Actor, password: str, *about: str) -> str:
    passwords.check(password, *about)
    return passwords.hashing().hash(password, _waiter(actor))


def _waiter(actor: Actor) -> Waiter:
    return Waiter(f"user {actor.user_id}", is_known=True)


def _state(user: User) -> dict[str, Any]:
    """What the audit shows of a user."""
    return {"email": user.email, "name": user.name, "role": user.role, "enabled": user.enabled}


def _group_state(group: Group) -> dict[str, Any]:
    return {"name": group.name, "description": group.description}
