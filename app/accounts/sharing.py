"""What sharing something with users and groups means to those packages that have something to share."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.orm import Session

from app.accounts import queries
from app.accounts.domain import UnknownReference
from app.accounts.models import Group, User

#: The condition of SQL, its parameters, and for lists all that a user is.
visible, viewer, audiences_of = queries.visible, queries.viewer, queries.audiences


@dataclass(frozen=True, slots=True)
class Sharing:
    """With whom something is to be shared; None leaves it as it is."""

    users: Sequence[UUID] | None = None
    groups: Sequence[UUID] | None = None


def check_sharing(session: Session, sharing: Sharing, *, known: Collection[UUID] = ()) -> None:
    """Raises UnknownReference for whoever does not exist and is not `known` from before."""
    for kind, name, ids in ((User, "user", sharing.users), (Group, "group", sharing.groups)):
        wanted = [one for one in ids or () if one not in known]
        for missing in sorted(queries.absent(session, kind, wanted)):
            place = list(ids or ()).index(missing)
            raise UnknownReference(name, missing, f"/allowed{name.capitalize()}s/{place}")
