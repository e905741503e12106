"""The verbs of environments as users know them. Who may use them is for the edge to say, but for whom an environment is
there; who did is written with each, and never a value. What workers do with them is in `opening`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.accounts.domain import Principal, ScopeMissing, UnknownReference, can_access, changed
from app.accounts.sharing import Sharing, check_sharing, share
from app.audit.domain import Act, Actor
from app.audit.service import record
from app.environments import queries
from app.environments.domain import (
    Changes,
    EntryRefused,
    EnvironmentInUse,
    NameTaken,
    RevisionMismatch,
    Secret,
    UnknownEnvironment,
    Wish,
    Wrapped,
    check_size,
    check_wishes,
)
from app.environments.models import Entry, Environment
from app.environments.sealing import SEAL_BYTES, DataKey, MasterKeys
from app.identity import new_id
from app.platform import Platform
from app.rules import Scope


@dataclass(frozen=True, slots=True)
class Shown:
    """An environment, with what may be shown of its entries: the key, whether it is a secret, the value if not."""

    environment: Environment
    entries: Sequence[tuple[str, bool, str | None]]


def create(
    platform: Platform, actor: Actor, *, name: str, description: str, entries: Sequence[Wish], sharing: Sharing
) -> Shown:
    """Make an environment, with a data key of its own."""
    changes = Changes(entries, are_whole=True)
    check_wishes(changes)
    try:
        with platform.database.transaction() as session:
            check_sharing(session, sharing)
            if queries.name_is_taken(session, name):
                raise NameTaken(name)
            now, environment_id = queries.now(session), new_id()
            wrapped = MasterKeys(platform.settings.master_keys).new_data_key(environment_id)
            environment = Environment(
                id=environment_id,
                name=name,
                description=description,
                revision=1,
                writes=1,
                data_key=wrapped.content,
                master_key=wrapped.master_key,
                allowed_users=list(sharing.users or ()),
                allowed_groups=list(sharing.groups or ()),
                created_at=now,
                updated_at=now,
            )
            session.add(environment)
            session.flush()
            keys = _write_entries(platform, session, environment, changes, revision=1)
            record(session, actor, Act("environment.create", environment_id, after=_state(environment) | keys))
            return _shown(session, environment)
    except IntegrityError as error:
        # Somebody took the name between our look and our insert; the unique index saw both.
        raise NameTaken(name) from error


def read(platform: Platform, principal: Principal, environment_id: UUID) -> Shown:
    """An environment; raises `UnknownEnvironment`, also for one that the caller may not see."""
    with platform.database.reading() as session:
        environment = queries.find(session, environment_id)
        if environment is None or not can_access(principal, environment):
            raise UnknownEnvironment
        return _shown(session, environment)


def page(platform: Platform, principal: Principal, *, before: UUID | None, limit: int) -> list[Shown]:
    """The newest environments before an id that the caller may see, without values."""
    with platform.database.reading() as session:
        found = queries.page(session, principal, before=before, limit=limit)
        keys = queries.keys(session, [environment.id for environment in found])
    return [Shown(one, [(key, is_secret, None) for key, is_secret in keys[one.id]]) for one in found]


def change(
    platform: Platform,
    actor: Actor,
    environment_id: UUID,
    *,
    fields: Mapping[str, Any],
    entries: Changes | None = None,
    sharing: Sharing | None = None,
    if_match: str | None,
) -> Shown:
    """Change `name` or `description`, with whom it is shared, and entries; a change of these is a new revision.
    Where nothing changes nothing is written.
    """
    check_wishes(entries or Changes())
    try:
        with platform.database.transaction() as session:
            environment = _to_change(session, environment_id, if_match=if_match)
            before = _state(environment)
            if "name" in fields and queries.name_is_taken(session, fields["name"], by_other_than=environment_id):
                raise NameTaken(fields["name"])
            for field, value in fields.items():
                setattr(environment, field, value)
            share(session, environment, sharing or Sharing())
            keys = {}
            if entries is not None:
                keys = _write_entries(platform, session, environment, entries, revision=environment.revision + 1)
            if keys:
                environment.revision += 1
            old, new = changed(before, _state(environment))
            if new:
                environment.writes += 1
                environment.updated_at = queries.now(session)
                session.flush()
                record(session, actor, Act("environment.update", environment_id, before=old, after=new | keys))
            return _shown(session, environment)
    except IntegrityError as error:
        raise NameTaken(str(fields.get("name"))) from error


def delete(platform: Platform, actor: Actor, environment_id: UUID, *, if_match: str | None) -> None:
    """Remove an environment with everything in it; raises `EnvironmentInUse` while a function uses it."""
    with platform.database.transaction() as session:
        environment = _to_change(session, environment_id, if_match=if_match)
        if functions := queries.used_by(session, environment_id):
            raise EnvironmentInUse(functions)
        session.delete(environment)
        record(session, actor, Act("environment.delete", environment_id, before=_state(environment)))


def check_usable(session: Session, principal: Principal, environment_id: UUID) -> None:
    """Raises UnknownReference for an environment that the caller may not see; one that they may stays until the
    transaction ends. A function reads all of it, so a key must be one for reading environments; raises ScopeMissing.
    """
    if Scope.ENVIRONMENTS_READ not in principal.scopes:
        raise ScopeMissing(Scope.ENVIRONMENTS_READ)
    environment = queries.hold(session, environment_id)
    if environment is None or not can_access(principal, environment):
        raise UnknownReference("environment", environment_id, "/environmentId")


def etag(environment: Environment) -> str:
    """Changes with every write."""
    return f"{environment.id}.{environment.writes}"


def _to_change(session: Session, environment_id: UUID, *, if_match: str | None) -> Environment:
    environment = queries.lock(session, environment_id)
    if environment is None:
        raise UnknownEnvironment
    if if_match is not None and if_match not in {"*", etag(environment)}:
        raise RevisionMismatch
    return environment


def _write_entries(
    platform: Platform, session: Session, environment: Environment, changes: Changes, *, revision: int
) -> dict[str, Any]:
    """Bring the entries to what is wished; answers which keys that set and removed, for the audit."""
    kept = queries.entries(session, environment.id)
    wished = {wish.key for wish in changes.wishes}
    removed = [key for key in kept if key in changes.removed or (changes.are_whole and key not in wished)]
    for key in removed:
        session.delete(kept.pop(key))

    # Whoever changes plain values alone needs no master key.
    @cache
    def data_key() -> DataKey:
        wrapped = Wrapped(environment.master_key, environment.data_key)
        return MasterKeys(platform.settings.master_keys).data_key(environment.id, wrapped)

    def seal(key: str, value: Secret) -> bytes:
        return data_key().seal(key, revision, value)

    written = [wish.key for wish in changes.wishes if _write_entry(kept, environment.id, revision, wish, seal)]
    session.add_all(kept[key] for key in written)
    check_size({key: _size(entry) for key, entry in kept.items()})
    session.flush()
    keys = {"setKeys": sorted(written), "removedKeys": sorted(removed)}
    return {name: value for name, value in keys.items() if value}


def _write_entry(
    kept: dict[str, Entry], environment_id: UUID, revision: int, wish: Wish, seal: Callable[[str, Secret], bytes]
) -> bool:
    """Bring one entry to what is wished; answers whether that changed it."""
    entry = kept.get(wish.key)
    was_secret = entry is not None and entry.is_secret
    is_secret = was_secret if wish.is_secret is None else wish.is_secret
    if wish.value is None:
        if was_secret and is_secret:
            return False
        raise EntryRefused("there is no secret whose value could be kept; send one", wish.pointer)
    if entry is None:
        entry = kept[wish.key] = Entry(environment_id=environment_id, key=wish.key)
    elif not is_secret and entry.value == wish.value.reveal():
        return False
    entry.version = revision
    entry.value = None if is_secret else wish.value.reveal()
    entry.sealed = seal(wish.key, wish.value) if is_secret else None
    return True


def _size(entry: Entry) -> int:
    return len((entry.value or "").encode()) if entry.sealed is None else len(entry.sealed) - SEAL_BYTES


def _shown(session: Session, environment: Environment) -> Shown:
    entries = queries.entries(session, environment.id).values()
    return Shown(environment, [(one.key, one.is_secret, one.value) for one in entries])


def _state(environment: Environment) -> dict[str, Any]:
    """What the audit shows of an environment."""
    return {
        "name": environment.name,
        "description": environment.description,
        "revision": environment.revision,
        "allowedUsers": [str(one) for one in environment.allowed_users],
        "allowedGroups": [str(one) for one in environment.allowed_groups],
    }
