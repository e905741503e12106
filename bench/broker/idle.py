"""What a worker that has nothing to do asks of the database."""

import tempfile
import time
from pathlib import Path

import psycopg

from app.broker.pump import DOZE_SECONDS
from bench.broker.processes import Worker

SECONDS = 20

TRANSACTIONS = "SELECT sum(xact_commit + xact_rollback) FROM pg_stat_database WHERE datname = current_database()"


def transactions_per_second(url: str) -> float:
    """Of one worker. Every statement of ours outside a transaction is one; the asking itself is taken off."""
    with tempfile.TemporaryDirectory(prefix="kiln-bench-") as name:
        worker = Worker(url, Path(name))
        worker.await_ready()
        time.sleep(DOZE_SECONDS + 5)
        alone, beside = _counted(url), 0.0
        worker.stop()
        time.sleep(2)
        beside = _counted(url)
    return alone - beside


def _counted(url: str) -> float:
    with psycopg.connect(url, autocommit=True) as connection:
        before = connection.execute(TRANSACTIONS).fetchone()
        time.sleep(SECONDS)
        connection.execute("SELECT pg_stat_force_next_flush()")
        after = connection.execute(TRANSACTIONS).fetchone()
    if before is None or after is None:
        raise RuntimeError("PostgreSQL counts no transactions")
    return float(after[0] - before[0]) / SECONDS
