"""How long a claim takes while somebody holds an old snapshot, which keeps every dead row in its way."""

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from app.broker import statements
from app.broker.cursor import Cursor
from app.broker.link import SESSION_OPTIONS

PUT = "INSERT INTO broker.messages (queue, payload) SELECT 'bench', '{}' FROM generate_series(1, %s)"
BATCH = 10
PARTS = 6


def claim_ms(url: str, *, messages: int, held: bool, cursor: bool = True) -> list[float]:
    """The median claim of each sixth of so many messages that go through, in milliseconds."""
    claim = statements.CLAIM.format(
        acknowledging=statements.ACKNOWLEDGING, durability="", on_claim=statements.CLAIM_PLAIN
    )
    parameters: dict[str, Any] = {"queue": "bench", "limit": BATCH, "holder": "bench", "lease": "15 s"}
    parameters |= {"acked_ids": [], "acked_tokens": []}
    place, spent = Cursor(), []
    with _snapshot(url, held=held), psycopg.connect(url, autocommit=True, options=SESSION_OPTIONS) as connection:
        connection.execute("TRUNCATE broker.messages")
        for _ in range(messages // BATCH):
            connection.execute(PUT, (BATCH,))
            began = time.monotonic()
            rows = connection.execute(claim, parameters | (place if cursor else Cursor()).parameters()).fetchall()
            spent.append((time.monotonic() - began) * 1e3)
            for row in rows:
                place.passed(row[1], row[0])
            parameters["acked_ids"], parameters["acked_tokens"] = [row[0] for row in rows], [row[2] for row in rows]
    size = len(spent) // PARTS
    return [statistics.median(spent[part * size : (part + 1) * size]) for part in range(PARTS)]


@contextmanager
def _snapshot(url: str, *, held: bool) -> Iterator[None]:
    if not held:
        yield
        return
    with psycopg.connect(url) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        connection.execute("SELECT 1")
        yield
