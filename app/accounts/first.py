"""The first administrator: made where nobody is there yet, with a key for programs of this machine."""

import json
import os
import secrets
from dataclasses import asdict, dataclass
from datetime import timedelta

from sqlalchemy import text as sql

from app.accounts import credential_queries, passwords, queries, tokens
from app.accounts.domain import MOST_KEY_DAYS, Principal
from app.addresses import fingerprint
from app.audit.domain import Act, Actor, Via
from app.audit.service import record
from app.platform import Platform
from app.rules import EVERY_SCOPE, Role
from app.settings import Settings

_FILE = "administrator.json"


@dataclass(frozen=True, slots=True)
class First:
    """What lets the first administrator in; `password` only where nobody else has chosen it."""

    email: str
    password: str | None
    key: str


def ensure(platform: Platform) -> First | None:
    """Make the first administrator, and keep what lets them in in `KILN_HOME` (0600); none where somebody is there."""
    settings = platform.settings
    chosen = settings.admin_password
    password = chosen or secrets.token_urlsafe(12)
    with platform.database.transaction() as session:
        if queries.is_anybody(session):
            return None
    if chosen is not None:
        passwords.check(chosen, settings.admin_email)
    hashed = passwords.hashing().hash(password, passwords.Waiter("release", is_known=True))
    with platform.database.transaction() as session:
        session.execute(sql("LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE"))
        if queries.is_anybody(session):
            return None
        name, key = "Administrator", tokens.new_key()
        user = queries.add_user(session, email=settings.admin_email, name=name, role=Role.ADMIN, password=hashed)
        # Good for as long as a key may be: the installation's own command lines are shown with it.
        end = user.created_at + timedelta(days=MOST_KEY_DAYS)
        credential_queries.add_key(session, user.id, key, name="first", scopes=EVERY_SCOPE, expires_at=end)
        record(session, Actor(via=Via.SYSTEM), Act("user.create", user.id, after={"email": user.email}))
        first = First(user.email, None if chosen else password, key)
        # Before the transaction ends: an administrator whose password nobody knows is none.
        _keep(settings, first)
    return first


def program(platform: Platform) -> Principal:
    """A program of ours, on behalf of the administrator who is here longest. Raises LookupError before there is one."""
    with platform.database.transaction() as session:
        user = queries.first_administrator(session)
    if user is None:
        raise LookupError("there is no administrator yet")
    actor = Actor(user.id, user.email, Via.SYSTEM)
    return Principal(user.id, user.email, user.name, Role.ADMIN, frozenset(), actor)


def _keep(settings: Settings, first: First) -> None:
    """`database` says for whom it is good; `app.local.administrator` reads it."""
    path = settings.home / _FILE
    known = asdict(first) | {"database": fingerprint(settings.database_url)}
    draft = path.with_suffix(".draft")
    # What an attempt before this has left, or somebody has put there, is not written into.
    draft.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with open(os.open(draft, flags, 0o600), "w") as file:  # noqa: PTH123 - a descriptor
        file.write(json.dumps(known))
    draft.replace(path)
