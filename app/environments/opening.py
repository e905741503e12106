"""What a worker's child does with environments: it opens them for the functions that it runs, and nobody else does."""

from collections import OrderedDict
from typing import Final
from uuid import UUID

from app.environments import queries
from app.environments.domain import Opened, UnknownEnvironment, Variables, Wrapped
from app.environments.sealing import MasterKeys
from app.platform import Platform

#: How many a child remembers: at most eight megabytes of keys and values.
MOST_REMEMBERED: Final = 64

#: In this process's memory alone; what was not used for the longest comes first, and goes first.
_remembered: OrderedDict[UUID, Opened] = OrderedDict()


def opened(platform: Platform, environment_id: UUID, revision: int) -> Opened:
    """An environment as it is at a revision, or, where it has changed meanwhile, as it is now: `revision` of the answer
    says so. Costs one statement, and none where this child has opened it before. Raises `UnknownEnvironment`,
    `MasterKeyMissing` and `SealBroken`.
    """
    found = _remembered.get(environment_id)
    if found is None or found.revision != revision:
        found = _opened(platform, environment_id)
    _remembered[environment_id] = found
    _remembered.move_to_end(environment_id)
    if len(_remembered) > MOST_REMEMBERED:
        _remembered.popitem(last=False)
    return found


def forget_all() -> None:
    """Have the next of each be opened anew."""
    _remembered.clear()


def _opened(platform: Platform, environment_id: UUID) -> Opened:
    with platform.database.statement() as connection:
        rows = queries.open_rows(connection, environment_id)
    if not rows:
        raise UnknownEnvironment
    variables = {row.key: row.value for row in rows if row.value is not None}
    sealed = [row for row in rows if row.sealed is not None]
    if sealed:
        wrapped = Wrapped(rows[0].master_key, rows[0].data_key)
        data_key = MasterKeys(platform.settings.master_keys).data_key(environment_id, wrapped)
        for row in sealed:
            variables[row.key] = data_key.open(row.key, row.version, row.sealed).reveal()
    return Opened(rows[0].revision, Variables(dict(sorted(variables.items()))))
