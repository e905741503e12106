"""What is done to many executions at once: replay them, cancel them."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Connection

from app.accounts.domain import Principal
from app.audit.domain import Act
from app.audit.service import record_alone
from app.broker import addressed_to
from app.executions import bulk_queries
from app.executions.domain import Filter, Replays
from app.executions.service import message_of, place_of
from app.executions.submission_queries import EACH
from app.identity import new_id
from app.limits import service as limits
from app.platform import Platform
from app.queue import Queue
from app.rules import Scope

#: Rows that one statement makes or ends.
_AT_ONCE = 1000


def replay(platform: Platform, principal: Principal, replays: Replays) -> int:
    """Accept an execution for each of the oldest that match and have ended, all or none; answers how many. What cannot
    be executed any more is left out.
    """
    principal.check_scope(Scope.EXECUTIONS_READ)
    with platform.database.transaction() as session:
        connection = session.connection()
        originals = bulk_queries.ended(connection, principal, replays)
        return _accept(platform, connection, principal, replays, originals)


def replay_these(
    platform: Platform, connection: Connection, principal: Principal, replays: Replays, originals: Sequence[UUID]
) -> int:
    """The same for those that are known, in the caller's transaction. What has to wait for others to end is let through
    by the next beat.
    """
    originals = bulk_queries.replayable(connection, principal, replays, originals)
    return _accept(platform, connection, principal, replays, originals)


def _accept(
    platform: Platform, connection: Connection, principal: Principal, replays: Replays, originals: Sequence[UUID]
) -> int:
    if not originals:
        return 0
    limits.check_room(platform, principal, len(originals), connection=connection)
    allowance = limits.take(platform, connection, principal, originals)
    place = place_of(principal, replays.priority, is_awaited=False)
    payload = message_of(EACH, priority=place.priority, correlation_id=replays.correlation_id)
    count = 0
    pairs = list(zip(sorted(new_id() for _ in originals), originals, strict=True))
    for first in range(0, len(pairs), _AT_ONCE):
        count += bulk_queries.replay(
            connection,
            principal,
            replays,
            pairs[first : first + _AT_ONCE],
            address=addressed_to(Queue.EXECUTE, place),
            payload=payload,
            lane_places=allowance.concurrency,
        )
    return count


def cancel(platform: Platform, principal: Principal, wanted: Filter) -> int:
    """End all that match, that have not ended, and that the caller may cancel; answers how many. A thousand at a time,
    so that nobody waits long for a row; what comes meanwhile may be among them.
    """
    count, gone = 0, 1
    try:
        while gone:
            with platform.database.statement() as connection:
                gone, cancelled = bulk_queries.cancel(
                    connection, principal, wanted, owns=platform.settings.devs_may_register, limit=_AT_ONCE
                )
            count += cancelled
    finally:
        if count:
            record_alone(platform, principal.actor, Act("executions.cancel", after={"count": count}))
    return count
