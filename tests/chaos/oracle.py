"""Compares what clients were told with what the database holds, and asks it whether every invariant holds."""

import re
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from tests.chaos.ledger import Ledger
from tests.patience import came_true, until

_SCRIPT = Path(__file__).with_name("oracle.sql")

#: Name to statement, in the script's order.
INVARIANTS = dict(re.findall(r"^-- (I\d+): [^\n]*\n(.*?;)\s*$", _SCRIPT.read_text(), re.MULTILINE | re.DOTALL))

#: In the words of RabbitMQ's Jepsen suite. What is lost was accepted and is not there, or did not come to an end. What
#: is unexpected no client asked for, or was answered as no client should be answered. What is recovered was not
#: accepted as far as its client knows, and exists. What is duplicated was begun more than once.
_COUNTS = """
WITH told AS (
    SELECT ledger.client_id, ledger.answer, execution.id, execution.status
    FROM chaos.ledger LEFT JOIN executions AS execution ON execution.correlation_id = ledger.client_id
)
SELECT (SELECT count(*) FROM chaos.ledger) AS attempts,
       count(*) FILTER (WHERE answer = 'accepted') AS acknowledged,
       count(*) FILTER (WHERE answer = 'accepted' AND status IN ('COMPLETED', 'FAILED', 'CANCELLED')) AS ok,
       count(*) FILTER (WHERE answer = 'accepted' AND coalesce(status, '') NOT IN ('COMPLETED', 'FAILED', 'CANCELLED'))
           AS lost,
       count(*) FILTER (WHERE answer = 'fault') + (
           SELECT count(*) FROM executions
           WHERE NOT EXISTS (SELECT FROM chaos.ledger WHERE client_id = correlation_id)
       ) AS unexpected,
       (SELECT count(*) FROM executions WHERE attempts > 1) AS duplicated,
       count(id) FILTER (WHERE answer IN ('refused', 'unknown')) AS recovered
FROM told
"""

_AT_REST = """
SELECT NOT EXISTS (SELECT FROM executions WHERE status IN ('PENDING', 'RUNNING'))
   AND NOT EXISTS (SELECT FROM broker.messages WHERE state <> 'dead' AND queue IN ('execute', 'compile'))
"""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a run came to."""

    attempts: int
    acknowledged: int
    ok: int
    lost: int
    unexpected: int
    duplicated: int
    recovered: int
    broken: dict[str, list[Any]] = field(default_factory=dict)
    """The rows that break an invariant, by its name; a few of each."""

    @property
    def line(self) -> str:
        """The counts, as the page shows them."""
        return " ".join(f"{name}={count}" for name, count in self.counts.items())

    @property
    def counts(self) -> dict[str, int]:
        """The counts by name."""
        return {name: count for name, count in asdict(self).items() if name != "broken"}

    def assert_kept(self) -> None:
        """The pass mark: nothing lost, nothing unexpected, every invariant holds. Duplicates are counted only."""
        assert (self.lost, self.unexpected, self.broken) == (0, 0, {}), f"{self.line} {self.broken}"


def install(url: str) -> None:
    """Put the witness into a database."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(Path(__file__).with_name("history.sql").read_text().encode())


def came_to_rest(url: str, *, seconds: float) -> bool:
    """Whether everything has ended in time."""
    with _connected(url) as connection:
        return came_true(lambda: (connection.execute(_AT_REST).fetchone() or (False,))[0], seconds=seconds)


def _connected(url: str) -> "psycopg.Connection[Any]":
    """A connection, also to a server that is just coming back."""
    opened: list[psycopg.Connection[Any]] = []

    def connect() -> bool:
        with suppress(psycopg.OperationalError):
            opened.append(psycopg.connect(url, autocommit=True))
        return bool(opened)

    until(connect, what="a connection")
    return opened[0]


def verdict(url: str, ledger: Ledger) -> Verdict:
    """Ask everything, as it is now."""
    with _connected(url) as connection:
        connection.execute("TRUNCATE chaos.ledger")
        with connection.cursor().copy("COPY chaos.ledger FROM STDIN") as copy:
            for client_id, answer, execution_id in ledger.entries():
                copy.write_row((client_id, answer, execution_id or None))
        found = {name: connection.execute(query.encode()).fetchmany(5) for name, query in INVARIANTS.items()}
        broken = {name: rows for name, rows in found.items() if rows}
        counts = connection.cursor(row_factory=dict_row).execute(_COUNTS).fetchone()
    return Verdict(**counts or {}, broken=broken)
