"""R19: executions may wait for a worker only so long, and there is none."""

import time

import pytest

from tests.chaos.conftest import Report
from tests.chaos.installation import Installation
from tests.chaos.scale import Scale


@pytest.mark.promise("R19", "What may wait only so long is never run after that, and says so.")
def test_what_was_waited_for_too_long_is_never_run(kiln: Installation, report: Report, scale: Scale) -> None:
    each, age = scale(20, 500), scale(2, 60)
    kiln.submit([0] * each, maxAgeSeconds=age)
    kiln.submit([0] * each)
    time.sleep(1.5 * age)
    # Nobody was there to see their time go by; the first worker does
    kiln.fleet.workers(2)
    verdict = kiln.verdict(seconds=scale(60, 300))
    assert kiln.count("error_type = 'EXPIRED' AND attempts = 0 AND started_at IS NULL") == each
    assert kiln.count("status = 'COMPLETED' AND attempts = 1") == each
    assert kiln.count("completed_at < expires_at") == 0
    report(verdict, f"{each} of {2 * each} had waited for too long")
