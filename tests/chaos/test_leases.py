"""R13: executions take longer than a lease."""

import json
from datetime import datetime

import pytest

from tests.chaos.conftest import Report
from tests.chaos.installation import LEASE_SECONDS, Installation
from tests.chaos.scale import Scale

LONG_MS = 3 * LEASE_SECONDS * 1_000


@pytest.mark.promise("R13", "Work keeps its lease however long it takes, and stops before it loses it.")
def test_long_work_keeps_its_lease(kiln: Installation, report: Report, scale: Scale) -> None:
    workers, executions = scale(2, 4), scale(8, 200)
    kiln.fleet.workers(workers, concurrency=4)
    kiln.submit([LONG_MS] * executions)
    verdict = kiln.verdict(seconds=scale(90, 400))
    assert verdict.duplicated == 0
    report(verdict, f"each took {LONG_MS / 1000:.0f} s with a lease of {LEASE_SECONDS} s")


def test_without_renewal_long_work_is_begun_again(kiln: Installation) -> None:
    """Must fail: the lease runs out in the middle."""
    kiln.fleet.worker(broken="unkept")
    kiln.submit([2 * LEASE_SECONDS * 1_000])
    assert kiln.verdict().duplicated == 1


def test_work_that_cannot_renew_its_lease_stops_before_it_ends(kiln: Installation) -> None:
    worker = kiln.fleet.worker(broken="unrenewable")
    kiln.submit([LONG_MS])
    kiln.until("attempts = 2")
    stopped = next(json.loads(line) for line in worker.log.splitlines() if '"execution.stopped"' in line)
    ((second,),) = kiln.rows("SELECT at FROM chaos.history WHERE status = 'RUNNING' AND attempts = 2")
    assert datetime.fromisoformat(stopped["timestamp"]) < second
