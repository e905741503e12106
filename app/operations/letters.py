"""Dead letters: messages that killed three workers, that no worker could read, or that none knew what to do with. They
are kept with every byte until somebody redrives or removes them.

What they were about has ended, so that is what begins anew: an execution is replayed, a version is built again as
another version, a verification is asked for again. Any other message is delivered once more, as it is.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final
from uuid import UUID

from sqlalchemy.orm import Session

from app.accounts.domain import Principal
from app.audit.domain import Act
from app.audit.service import record
from app.executions import bulk
from app.executions.domain import Replays, UnknownVersion
from app.functions import queries as function_queries
from app.functions import versions
from app.functions.domain import FunctionError, NoSuchVersion, VersionSuperseded
from app.limits.domain import Overloaded, QuotaExceeded, RateLimited
from app.operations import letter_queries
from app.operations.domain import LetterFilter, Redriven, UnknownLetter
from app.platform import Platform
from app.queue import Task

#: How many are redriven in one request, and how many are looked at to find them.
MOST_REDRIVEN = 1000
MOST_LOOKED_AT = 5000


def page(platform: Platform, wanted: LetterFilter, *, before: int | None, limit: int) -> list[dict[str, Any]]:
    """The newest dead letters before an id, without what is in them."""
    with platform.database.statement() as connection:
        return letter_queries.page(connection, wanted, before=before, limit=limit)


def read(platform: Platform, letter_id: int) -> Mapping[str, Any]:
    """One of them, with its text as it was kept; raises `UnknownLetter`."""
    with platform.database.statement() as connection:
        found = letter_queries.find(connection, letter_id)
    if found is None:
        raise UnknownLetter
    return found


def redrive(platform: Platform, principal: Principal, wanted: LetterFilter, *, correlation_id: str) -> Redriven:
    """Redrive the newest that match, each by itself, until a limit of the caller's executions is reached. What cannot
    begin anew, because its function or version is gone or there is a newer version, stays where it is.
    """
    count = 0
    for letter in _newest(platform, wanted):
        try:
            count += redrive_one(platform, principal, letter["id"], correlation_id=correlation_id)
        except (UnknownLetter, VersionSuperseded):
            continue
        except (RateLimited, QuotaExceeded, Overloaded) as limit:
            return Redriven(count, limit.retry_after_seconds)
        if count == MOST_REDRIVEN:
            break
    return Redriven(count)


def _newest(platform: Platform, wanted: LetterFilter) -> Iterator[Mapping[str, Any]]:
    """Those that match, a page at a time, as far back as is looked."""
    before = None
    for _ in range(MOST_LOOKED_AT // MOST_REDRIVEN):
        found = page(platform, wanted, before=before, limit=MOST_REDRIVEN)
        yield from found
        if len(found) < MOST_REDRIVEN:
            return
        before = found[-1]["id"]


def redrive_one(platform: Platform, principal: Principal, letter_id: int, *, correlation_id: str) -> bool:
    """Redrive one of them; answers whether that could be done. Raises `UnknownLetter`, `VersionSuperseded`, and where a
    limit is reached its error.
    """
    letter = read(platform, letter_id)
    begin = _VERBS.get(letter["task"] or "") if letter["execution_id"] is None else _replay
    try:
        with platform.database.transaction() as session:
            if letter["function_id"] is not None:
                function_queries.hold(session, letter["function_id"])
            # Before anything begins, so that of two who redrive it at the same time one finds it gone.
            take = letter_queries.revive if begin is None else letter_queries.delete_one
            if not take(session.connection(), letter_id):
                raise UnknownLetter
            if begin is not None:
                begin(platform, session, principal, letter, correlation_id)
            act = Act("dead_letter.redrive", str(letter_id), after={"task": letter["task"], "reason": letter["reason"]})
            record(session, principal.actor, act)
    except VersionSuperseded:
        raise
    except (FunctionError, UnknownVersion):
        return False
    return True


def delete(platform: Platform, principal: Principal, wanted: LetterFilter) -> int:
    """Remove those that match, for good; answers how many."""
    with platform.database.transaction() as session:
        count = letter_queries.delete(session.connection(), wanted)
        if count:
            record(session, principal.actor, Act("dead_letter.delete", after={"count": count}))
    return count


def delete_one(platform: Platform, principal: Principal, letter_id: int) -> None:
    """Remove one of them; raises `UnknownLetter`."""
    with platform.database.transaction() as session:
        if not letter_queries.delete_one(session.connection(), letter_id):
            raise UnknownLetter
        record(session, principal.actor, Act("dead_letter.delete", str(letter_id)))


def _replay(
    platform: Platform, session: Session, principal: Principal, letter: Mapping[str, Any], correlation_id: str
) -> None:
    replays = Replays(limit=1, correlation_id=correlation_id)
    if not bulk.replay_these(platform, session.connection(), principal, replays, [letter["execution_id"]]):
        raise UnknownVersion("of the execution")


def _build(
    platform: Platform, session: Session, principal: Principal, letter: Mapping[str, Any], correlation_id: str
) -> None:
    versions.build_again(platform, session, principal, *_version_of(letter), correlation_id=correlation_id)


def _verify(
    platform: Platform, session: Session, principal: Principal, letter: Mapping[str, Any], correlation_id: str
) -> None:
    versions.verify_again(platform, session, principal, *_version_of(letter), correlation_id=correlation_id)


_VERBS: Final[Mapping[str, Callable[..., None]]] = {Task.COMPILE: _build, Task.VERIFY: _verify}


def _version_of(letter: Mapping[str, Any]) -> tuple[UUID, int]:
    """The version that a message names; raises `NoSuchVersion` where it names none."""
    try:
        _, named, _ = json.loads(json.loads(letter["payload"])["body"])
        return UUID(named["function_id"]), int(named["number"])
    except (ValueError, LookupError, TypeError, AttributeError):
        raise NoSuchVersion from None
