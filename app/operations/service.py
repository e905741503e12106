"""What operators ask: is it ready, what waits, what is in whose hands."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from app.functions import languages
from app.operations import queries
from app.operations.domain import Condition, EventFilter, jail_of
from app.platform import Platform
from app.queue import Queue

log = structlog.get_logger()

_MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations" / "versions"


class UnknownQueue(Exception):
    """There is no such queue."""


def condition(platform: Platform) -> Condition:
    """Why this installation cannot serve yet, if it cannot, and whether its jails are sound."""
    try:
        with platform.database.statement() as connection:
            revision, consumed = queries.revision(connection), queries.consumed_queues(connection)
            # Of another migration nothing else is known.
            jail = jail_of(languages.jails(connection) if revision == expected_revision() else {})
    except SQLAlchemyError as error:
        reason = f"the database does not answer: {str(getattr(error, 'orig', error)).strip().splitlines()[0]}"
        return Condition((reason,), jail_of({}))
    reasons = [f"no worker consumes the queue {queue}" for queue in Queue if queue not in consumed]
    if revision != expected_revision():
        reasons.append(f"the database is at migration {revision}, this code wants {expected_revision()}")
    return Condition(tuple(reasons), jail)


def warn_of_superuser(platform: Platform) -> None:
    """Log it where we are a superuser of the database, to whom nothing is refused. One that is away is not asked."""
    with suppress(SQLAlchemyError), platform.database.statement() as connection:
        if (role := queries.superuser(connection)) is not None:
            log.warning("database.superuser", role=role)


def expected_revision() -> str:
    """The newest migration of this code."""
    return max(path.name[:4] for path in _MIGRATIONS.glob("[0-9][0-9][0-9][0-9]_*.py"))


def queues(platform: Platform) -> list[dict[str, Any]]:
    """Both queues with their counts and flow."""
    with platform.database.statement() as connection:
        rows, flow = queries.queues(connection, [queue.value for queue in Queue]), queries.flow(connection)
    return [row | {"in_per_minute": flow[row["name"]][0], "out_per_minute": flow[row["name"]][1]} for row in rows]


def workers(platform: Platform) -> list[dict[str, Any]]:
    """The workers, those that are gone among them for an hour."""
    with platform.database.statement() as connection:
        return queries.workers(connection)


def events(platform: Platform, wanted: EventFilter, *, before: int | None, limit: int) -> list[dict[str, Any]]:
    """The newest kept events before an id."""
    with platform.database.statement() as connection:
        return queries.events(connection, wanted, before=before, limit=limit)


def messages(platform: Platform, queue: str, *, after: int | None, limit: int) -> list[dict[str, Any]]:
    """The messages of a queue, oldest first; raises `UnknownQueue`."""
    if queue not in set(Queue):
        raise UnknownQueue
    with platform.database.statement() as connection:
        return queries.messages(connection, queue, after=after, limit=limit)
