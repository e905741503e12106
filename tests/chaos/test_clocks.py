"""R12: the clocks of workers are wrong, and that of the database is set."""

import time

import pytest

from tests.chaos.conftest import Report
from tests.chaos.installation import Installation
from tests.chaos.scale import Scale

#: Stands before PostgreSQL's own in the search path, so that all of Kiln's statements tell the time by it.
_CLOCK = """
CREATE TABLE chaos.clock (wrong interval NOT NULL);
INSERT INTO chaos.clock VALUES ('0');
CREATE FUNCTION chaos.now() RETURNS timestamptz LANGUAGE sql STABLE
AS 'SELECT pg_catalog.now() + wrong FROM chaos.clock'
"""


@pytest.mark.promise("R12", "Leases, delays and deadlines keep PostgreSQL's time, whatever a worker's clock says.")
def test_workers_whose_clocks_are_an_hour_off_take_nothing_from_each_other(
    kiln: Installation, report: Report, scale: Scale
) -> None:
    executions, long_ones = scale(100, 2_000), scale(4, 40)
    # Given workers an hour late and an hour early, work that outlasts its lease, and work that is delayed
    kiln.submit([5_000] * long_ones)
    kiln.submit([number % 100 for number in range(executions)])
    kiln.rows("UPDATE broker.messages SET state = 'delayed', ready_at = now() + interval '3 seconds' WHERE id % 10 = 0")
    ((due_at, delayed),) = kiln.rows(
        "SELECT min(ready_at), array_agg(execution_id) FROM broker.messages WHERE state = 'delayed'"
    )
    for name, seconds in (("execute-1", "3600"), ("execute-2", "-3600")):
        kiln.fleet.worker(name, broken="", concurrency=4, CHAOS_SKEW_SECONDS=seconds, ready=False)
    kiln.fleet.ready(kiln.fleet.nodes[-2:])
    verdict = kiln.verdict(seconds=scale(90, 400))
    # Then nothing was begun twice, nothing early, and nothing took a negative time
    assert verdict.duplicated == 0
    ((begun,),) = kiln.rows("SELECT min(started_at) FROM executions WHERE id = ANY(%s)", delayed)
    assert begun >= due_at
    assert kiln.count("duration_ms NOT BETWEEN 0 AND 60000") == 0
    report(verdict, "two workers, an hour late and an hour early")


def test_leases_by_a_workers_own_clock_are_taken_from_it(kiln: Installation) -> None:
    """Must fail: what a late clock calls a lease has run out when it begins."""
    kiln.fleet.workers(2, broken="own_clock")
    kiln.submit([3_000] * 4)
    verdict = kiln.verdict()
    assert verdict.duplicated > 0


def test_setting_the_databases_clock_delays_and_loses_nothing(kiln: Installation, scale: Scale) -> None:
    executions = scale(100, 2_000)
    kiln.rows(_CLOCK)
    kiln.shadow_functions()
    kiln.fleet.workers(2)
    for step in ("5 minutes", "0"):
        kiln.submit([number % 200 for number in range(executions // 2)])
        kiln.rows("UPDATE chaos.clock SET wrong = %s::interval", step)
        time.sleep(1)
    kiln.verdict(seconds=scale(90, 400)).assert_kept()
    assert kiln.count("status = 'COMPLETED'") == executions // 2 * 2
