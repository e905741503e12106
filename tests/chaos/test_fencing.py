"""R4: workers are stopped beyond their lease and go on as if nothing had happened."""

import time

import pytest

from tests.chaos.conftest import Report
from tests.chaos.installation import LEASE_SECONDS, Installation
from tests.chaos.nemesis import Nemesis, stopped, stopping
from tests.chaos.scale import Scale


@pytest.mark.promise("R4", "A worker whose lease has gone cannot write its result.")
def test_a_worker_that_was_stopped_beyond_its_lease_writes_nothing(
    kiln: Installation, report: Report, scale: Scale
) -> None:
    workers, executions, patience = scale(3, 6), scale(70, 4_000), scale(90, 900)
    # Leases are not renewed by the children, so that the fence alone is what holds.
    nodes = kiln.fleet.workers(workers, broken="unkept")
    with Nemesis(stopping(nodes, seconds=LEASE_SECONDS * 1.6), every_seconds=0.3) as nemesis:
        kiln.submit([number * 97 % 600 for number in range(executions)])
        kiln.await_rest(seconds=patience)
    verdict = kiln.verdict()
    assert kiln.count("status = 'COMPLETED'") == executions
    refused = sum(node.said("execution.stale") for node in nodes)
    report(verdict, f"{nemesis.acts} times a worker was stopped, {refused} results refused")


def test_the_result_of_a_superseded_attempt_is_refused(kiln: Installation) -> None:
    superseded_result_of(kiln, None)
    kiln.verdict().assert_kept()
    ((attempts,),) = kiln.rows("SELECT attempts FROM executions WHERE status = 'COMPLETED'")
    assert attempts == 2


def test_without_the_token_the_result_of_a_superseded_attempt_stands(kiln: Installation) -> None:
    """Must fail: the first attempt's result is written while the second runs."""
    superseded_result_of(kiln, "unfenced")
    assert "I5" in kiln.verdict().broken


def superseded_result_of(kiln: Installation, broken: str | None) -> None:
    """One worker begins, is stopped beyond its lease, and goes on when the other has begun the same."""
    zombie = kiln.fleet.worker("execute-1", concurrency=1, broken=broken)
    kiln.submit([3_000])
    kiln.until("status = 'RUNNING'")
    time.sleep(2)  # It has less left to do than the other will have.
    with stopped(zombie):
        kiln.fleet.worker("execute-2", concurrency=1, broken=broken)
        kiln.until("attempts = 2")
