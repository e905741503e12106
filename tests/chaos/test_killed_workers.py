"""R2 and R3: whole workers are killed, again and again, while they work."""

import time

import pytest

from app.executions.turns import MOST_TAKEN
from tests.chaos.conftest import Report
from tests.chaos.installation import Installation
from tests.chaos.nemesis import Nemesis, killing
from tests.chaos.scale import Scale


@pytest.mark.promise("R2", "Every accepted execution comes to one end, however many workers are killed meanwhile.")
def test_what_was_accepted_ends_however_many_workers_are_killed(
    kiln: Installation, report: Report, scale: Scale
) -> None:
    workers, executions = scale(3, 6), scale(300, 10_000)
    kill_every, kills, patience = scale(1.0, 0.8), scale(6, 1_000), scale(90, 900)
    nodes = kiln.fleet.workers(workers)
    with Nemesis(killing(nodes), every_seconds=kill_every, most=kills) as nemesis:
        kiln.submit([number % 41 for number in range(executions)])
        kiln.await_rest(seconds=patience)
    verdict = kiln.verdict()
    assert kiln.count("status = 'COMPLETED'") == executions
    # Every attempt but the last of each was a killed worker's: of each of its children one group at most.
    ((reruns,),) = kiln.rows("SELECT coalesce(sum(attempts - 1), 0) FROM executions")
    assert reruns <= 2 * MOST_TAKEN * nemesis.acts
    report(verdict, f"{nemesis.acts} workers killed, {reruns} attempts begun again")


def test_without_leases_taken_back_a_killed_worker_loses_what_it_held(kiln: Installation) -> None:
    """Must fail: what was in the killed worker's hands stays there."""
    doomed = kiln.fleet.worker("execute-1", broken="hoarding")
    kiln.fleet.worker("execute-2", concurrency=1, broken="hoarding")
    kiln.submit([300] * 8)
    kiln.until("status = 'RUNNING'")
    time.sleep(0.1)
    doomed.respawn = False
    doomed.kill()
    assert not kiln.await_rest(seconds=6)
    verdict = kiln.verdict(seconds=0)
    assert verdict.lost > 0
    assert {"I2", "I8"} <= set(verdict.broken)
