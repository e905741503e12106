"""What sharing something with users and groups means to those packages that have something to share."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy.orm import Session

from app.accounts import queries
from app.accounts.domain import Principal, UnknownReference
from app.accounts.models import Group, User

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


def audiences_of(principal: Principal) -> list[UUID]:
    """All that a user is, for lists of what is shared."""
    return [EVERYBODY, principal.user_id, *principal.groups]


class Shareable(Protocol):
    """A row that says with whom it is shared."""

    allowed_users: list[UUID]
    allowed_groups: list[UUID]


@dataclass(frozen=True, slots=True)
class Sharing:
    """With whom something is to be shared; None leaves it as it is."""

    users: Sequence[UUID] | None = None
    groups: Sequence[UUID] | None = None

    @classmethod
    def asked(cls, body: Mapping[str, Any]) -> "Sharing":
        """What the body of a request asks for."""
        return cls(body.get("allowed_users"), body.get("allowed_groups"))


def share(session: Session, thing: Shareable, sharing: Sharing) -> None:
    """Share a row with others; whoever it is shared with already need not exist any more. Raises UnknownReference."""
    check_sharing(session, sharing, known=Sharing(thing.allowed_users, thing.allowed_groups))
    if sharing.users is not None:
        thing.allowed_users = list(sharing.users)
    if sharing.groups is not None:
        thing.allowed_groups = list(sharing.groups)


def check_sharing(session: Session, sharing: Sharing, *, known: Sharing = Sharing()) -> None:
    """Raises UnknownReference for users and groups that do not exist and are not `known` as such from before."""
    _check(session, User, "user", sharing.users or (), known.users or ())
    _check(session, Group, "group", sharing.groups or (), known.groups or ())


def _check(
    session: Session, kind: type[User] | type[Group], name: str, ids: Sequence[UUID], known: Collection[UUID]
) -> None:
    for missing in sorted(queries.absent(session, kind, [one for one in ids if one not in known])):
        raise UnknownReference(name, missing, f"/allowed{name.capitalize()}s/{ids.index(missing)}")
