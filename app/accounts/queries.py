"""Statements on users, groups and who is in them.

Whoever locks several rows does so in one order, in which nobody waits in a circle: administrators by id, another user,
identities, groups by id, sessions by id, keys. A membership is written by whoever has locked, or holds, its user or its
group.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, undefer

from app.accounts.models import Group, Membership, User
from app.identity import new_id
from app.rules import Role


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


def hold_user(session: Session, user_id: UUID) -> User | None:
    """The same, kept from being deleted until the transaction ends."""
    statement = select(User).where(User.id == user_id)
    return session.execute(statement.with_for_update(read=True, key_share=True)).scalar_one_or_none()


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


def lock_group(session: Session, group_id: UUID) -> Group | None:
    """The same, for a change."""
    return session.execute(select(Group).where(Group.id == group_id).with_for_update()).scalar_one_or_none()


def hold_group(session: Session, group_id: UUID) -> Group | None:
    """The same, kept from being deleted until the transaction ends."""
    statement = select(Group).where(Group.id == group_id)
    return session.execute(statement.with_for_update(read=True, key_share=True)).scalar_one_or_none()


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


def hold_groups_of_provider(
    session: Session, user_id: UUID, issuer: str, *, names: Collection[str] = ()
) -> dict[str, UUID]:
    """By name, those of these groups that exist. They, and all that the provider had put a user into, are kept from
    being deleted until the transaction ends.
    """
    brought = select(Membership.group_id).where(Membership.user_id == user_id, Membership.issuer == issuer)
    statement = select(Group.name, Group.id).where(Group.name.in_(names) | Group.id.in_(brought)).order_by(Group.id)
    held = session.execute(statement.with_for_update(read=True, key_share=True, of=Group)).tuples()
    return {name: group_id for name, group_id in held if name in names}


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


def first_administrator(session: Session) -> User | None:
    """The enabled administrator who is here longest."""
    statement = select(User).where(User.role == Role.ADMIN, User.enabled).order_by(User.id).limit(1)
    return session.execute(statement).scalar_one_or_none()
