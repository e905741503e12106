"""What the server has done between two moments: statements by its own log, commits by its transaction numbers."""

import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg

from bench.whole import Kiln

#: An executed statement, of either protocol, with the name of the application that sent it.
_STATEMENT = re.compile(r"^app=(.*?)\|LOG:  (?:statement|execute [^:]*): ", re.MULTILINE)

#: Its commits are not durable, and need not be.
EVENT_WRITER = "kiln event writer"

_NUMBERS = """
SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint,
       (SELECT coalesce(sum(fsyncs), 0) FROM pg_stat_io WHERE object = 'wal')
"""


@dataclass
class Counted:
    """The counts, once the block has ended."""

    statements: Counter[str] = field(default_factory=Counter)
    """By application name."""
    writing: int = 0
    """Transactions that wrote, those of the event writer included."""
    syncs: int = 0
    """Times that the log was flushed to disk; several commits may share one."""
    seconds: float = 0.0

    @property
    def commits(self) -> int:
        """Transactions that wrote, but for the event writer's. Those that claim do not wait for the disk; how often
        anything did is in `syncs`.
        """
        return self.writing - self.statements[EVENT_WRITER]


@contextmanager
def counting(kiln: Kiln) -> Iterator[Counted]:
    """Count while the block runs. Logging costs time, so nothing is timed in it."""
    counted = Counted()
    with psycopg.connect(kiln.superuser_url, autocommit=True, application_name="bench") as connection:
        _log_statements(connection, on=True)
        before, began, place = _numbers(connection), time.monotonic(), kiln.server_log.stat().st_size
        try:
            yield counted
        finally:
            counted.seconds = time.monotonic() - began
            after = _numbers(connection)
            _log_statements(connection, on=False)
    counted.writing, counted.syncs = after[0] - before[0], after[1] - before[1]
    text = kiln.server_log.read_bytes()[place:].decode(errors="replace")
    counted.statements.update(name for name in _STATEMENT.findall(text) if not name.startswith("bench"))


def _numbers(connection: "psycopg.Connection[tuple[int, int]]") -> tuple[int, int]:
    row = connection.execute(_NUMBERS).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


def _log_statements(connection: "psycopg.Connection[tuple[int, int]]", *, on: bool) -> None:
    connection.execute(f"ALTER SYSTEM SET log_statement = '{'all' if on else 'none'}'".encode())
    connection.execute("ALTER SYSTEM SET log_line_prefix = 'app=%a|'")
    connection.execute("SELECT pg_reload_conf()")
    time.sleep(0.5)
