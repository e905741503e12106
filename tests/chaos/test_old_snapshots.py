"""R14: somebody holds an old snapshot, so that no dead row of the queue can be removed."""

import time

import psycopg
import pytest

from app.broker.cursor import LAG_SECONDS
from app.database import SESSION_OPTIONS
from tests.chaos.conftest import Report
from tests.chaos.installation import Install, Installation
from tests.chaos.scale import Scale
from tests.patience import until

#: As if so many had been executed since: of their callers, and of the priority of those that come.
_CHURN = """
INSERT INTO broker.messages (queue, priority, lane, payload)
SELECT 'execute', 3, (SELECT id::text FROM users), '{}' FROM generate_series(1, %s)
"""

#: Without the first seconds, after which a consumer's cursor moves on.
_RATE = """
SELECT count(*) / greatest(extract(epoch FROM max(completed_at) - min(started_at)), 0.001) FROM executions
WHERE started_at > (SELECT min(started_at) FROM executions) + %s * interval '1 second'
"""

#: Two turns of the cursor, and one for a busy machine.
TURNS_SECONDS = 3 * LAG_SECONDS


@pytest.mark.promise("R14", "An old transaction that somebody holds open does not slow the queue down.")
def test_an_old_snapshot_does_not_stall_the_queue(install: Install, report: Report, scale: Scale) -> None:
    executions, dead_rows = scale(4_000, 20_000), scale(200_000, 400_000)
    usual = rate(install(), 300, dead_rows=0)
    kiln = install()
    held = rate(kiln, executions, dead_rows=dead_rows, after_seconds=TURNS_SECONDS)
    verdict = kiln.verdict()
    assert held > usual * scale(0.3, 0.6)
    report(verdict, f"{held:.0f}/s with {dead_rows:,} dead rows, {usual:.0f}/s without")


def test_without_a_cursor_an_old_snapshot_stalls_the_queue(install: Install) -> None:
    """Must fail: every claim steps over every dead row."""
    usual = rate(install(), 300, dead_rows=0)
    assert rate(install(), 150, dead_rows=500_000, broken="cursorless") < usual * 0.3


def test_our_own_transactions_do_not_stay_open(kiln: Installation, scale: Scale) -> None:
    assert "idle_in_transaction_session_timeout=10s" in SESSION_OPTIONS
    with psycopg.connect(kiln.url, options=SESSION_OPTIONS.replace("=10s", f"={scale(1, 10)}s")) as connection:
        connection.execute("SELECT")
        pid = connection.info.backend_pid
        until(lambda: not kiln.rows("SELECT FROM pg_stat_activity WHERE pid = %s", pid), seconds=20)
        connection.close()


def rate(
    kiln: Installation, executions: int, *, dead_rows: int, broken: str | None = None, after_seconds: float = 0
) -> float:
    """Executions per second of one worker while an old snapshot keeps so many dead rows in the queue's table."""
    with psycopg.connect(kiln.url) as old:
        old.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        old.execute("SELECT FROM broker.messages")
        if dead_rows:
            kiln.rows(_CHURN, dead_rows)
            kiln.rows("DELETE FROM broker.messages")
        kiln.submit([0] * executions)
        kiln.fleet.worker(broken=broken)
        time.sleep(0.1)
        assert kiln.await_rest(seconds=180)
    ((found,),) = kiln.rows(_RATE, after_seconds)
    return float(found)
