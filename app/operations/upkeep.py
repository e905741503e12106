"""The upkeep process: small chores, each in its own rhythm. Any number of these processes may run; an advisory lock
gives each chore to one.

Celery's beat was not taken: it would send each chore through a queue to a worker, and two of them send everything
twice.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import psycopg
import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from app.accounts import credentials
from app.audit import service as audit
from app.executions import submission_queries as submissions
from app.functions import version_queries as versions
from app.logs import configure_logs, log_context
from app.operations import letter_queries, queries
from app.platform import Platform
from app.settings import Settings, load_settings

log = structlog.get_logger()

#: Months that have a partition before their first execution comes.
MONTHS_AHEAD = 3

#: Days that have a partition before their first event comes.
DAYS_AHEAD = 2

PURGE_BATCH = 5_000

#: Namespace of our advisory locks: the bytes of "keep".
_LOCKS = 0x6B656570


def create_partitions(connection: Connection, _settings: Settings) -> None:
    """Partitions for this month and the next ones."""
    for month in _months(MONTHS_AHEAD):
        queries.create_partition(connection, month)


def keep_events(connection: Connection, settings: Settings) -> None:
    """Partitions for the events of the next days, and none for those that are old."""
    today = datetime.now(UTC).date()
    for ahead in range(DAYS_AHEAD + 1):
        queries.create_events_partition(connection, today + timedelta(days=ahead))
    queries.drop_events(connection, today - timedelta(days=settings.event_days))


def keep_audit(connection: Connection, _settings: Settings) -> None:
    """Partitions for the acts of this month and the next one, and none for those that are old."""
    audit.keep(connection, *_months(1))


def forget_ended(connection: Connection, _settings: Settings) -> None:
    """Sessions and keys that have ended, and what else of people is kept for a while."""
    credentials.forget_ended(connection)


def forget_keys(connection: Connection, _settings: Settings) -> None:
    """Requests that nobody sends again any more."""
    while submissions.forget_keys(connection, limit=PURGE_BATCH):
        pass


def forget_letters(connection: Connection, settings: Settings) -> None:
    """Dead letters that nobody wanted for long."""
    forgotten = letter_queries.delete_old(connection, days=settings.dead_letter_days)
    if forgotten:
        log.warning("dead_letters.forgotten", count=forgotten)


def purge_deleted(connection: Connection, _settings: Settings) -> None:
    """What deleted functions left behind."""
    while queries.purge_executions(connection, limit=PURGE_BATCH):
        pass
    queries.purge_functions(connection)
    queries.purge_artifacts(connection)


def retire_versions(connection: Connection, settings: Settings) -> None:
    """What functions have had long ago."""
    retired = versions.retire(connection, kept=settings.kept_versions)
    if retired:
        log.info("versions.retired", count=retired)


def _months(ahead: int) -> Iterator[date]:
    """The first days of this month and of so many after it."""
    month = datetime.now(UTC).date().replace(day=1)
    for _ in range(ahead + 1):
        yield month
        month = (month + timedelta(days=32)).replace(day=1)


@dataclass(frozen=True, slots=True)
class Chore:
    """Something to be done again and again."""

    name: str
    every_seconds: float
    do: Callable[[Connection, Settings], None]


CHORES = (
    Chore("partitions", 3600, create_partitions),
    Chore("events", 3600, keep_events),
    Chore("audit", 3600, keep_audit),
    Chore("credentials", 60, forget_ended),
    Chore("keys", 60, forget_keys),
    Chore("dead letters", 3600, forget_letters),
    Chore("purge", 60, purge_deleted),
    Chore("versions", 60, retire_versions),
)


def do_chore(platform: Platform, chore: Chore) -> bool:
    """Do a chore unless another process is at it; answers whether it was done. A failure of the database, told by
    SQLAlchemy or by the driver beneath it, is logged and the chore comes again.
    """
    number = [known.name for known in CHORES].index(chore.name)
    with log_context(chore=chore.name):
        try:
            with platform.database.statement() as connection:
                if not connection.exec_driver_sql("SELECT pg_try_advisory_lock(%s, %s)", (_LOCKS, number)).scalar_one():
                    return False
                try:
                    chore.do(connection, platform.settings)
                finally:
                    connection.exec_driver_sql("SELECT pg_advisory_unlock(%s, %s)", (_LOCKS, number))
        except (SQLAlchemyError, psycopg.Error):
            log.exception("chore.failed")
            return False
    return True


def run(platform: Platform, stop: threading.Event) -> None:
    """Do every chore in its rhythm until told to stop."""
    due = {chore.name: 0.0 for chore in CHORES}
    log.info("upkeep.started")
    while not stop.is_set():
        for chore in CHORES:
            if time.monotonic() >= due[chore.name]:
                do_chore(platform, chore)
                due[chore.name] = time.monotonic() + chore.every_seconds
        stop.wait(max(0.0, min(due.values()) - time.monotonic()))
    log.info("upkeep.stopped")


def main() -> None:
    """The process's entry."""
    settings = load_settings(os.environ)
    configure_logs(settings.log_level, process="upkeep")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    run(Platform.of(settings, process="upkeep"), stop)


if __name__ == "__main__":
    main()
