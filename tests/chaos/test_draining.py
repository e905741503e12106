"""R16: workers are told to stop while they work."""

import itertools

import pytest

from tests.chaos.conftest import Report
from tests.chaos.installation import Installation
from tests.chaos.nemesis import Nemesis
from tests.chaos.scale import Scale
from tests.patience import until


@pytest.mark.promise("R16", "A worker that is told to stop loses nothing and ends in time.")
def test_a_rolling_restart_loses_no_attempt(kiln: Installation, report: Report, scale: Scale) -> None:
    executions, every, patience = scale(160, 5_000), scale(1.0, 3.0), scale(90, 600)
    nodes = kiln.fleet.workers(4)
    turns = itertools.cycle(itertools.product((False, True), nodes))
    slowest = 0.0

    def restart() -> None:
        nonlocal slowest
        group, node = next(turns)
        kiln.fleet.ready([node])  # Before it consumes it is Python that starts, and any signal ends it.
        slowest = max(slowest, node.terminate(group=group))

    with Nemesis(restart, every_seconds=every) as nemesis:
        kiln.submit([number * 97 % 400 for number in range(executions)])
        kiln.await_rest(seconds=patience)
    verdict = kiln.verdict()
    assert nemesis.acts > 0
    # An attempt that its worker could have ended was not begun again, and each worker ended by itself.
    assert verdict.duplicated == 0
    assert {code for node in nodes for code in node.exits} == {0}
    report(verdict, f"{nemesis.acts} workers restarted, ended after at most {slowest:.1f} s")


def test_a_signal_to_the_whole_group_leaves_the_children_their_work(kiln: Installation) -> None:
    stopped_while_busy(kiln, None)
    assert kiln.rows("SELECT status, attempts FROM executions") == [("COMPLETED", 1)] * 2


def test_children_that_take_orders_from_anybody_lose_their_work(kiln: Installation) -> None:
    """Must fail: they die of the signal, and what they did is begun again."""
    stopped_while_busy(kiln, "deadly")
    assert kiln.count("status = 'COMPLETED' AND attempts = 1") < 2


def test_what_does_not_end_in_time_is_given_back_at_once(kiln: Installation) -> None:
    doomed = kiln.fleet.worker("execute-1", broken="unpatient", KILN_LEASE_SECONDS="30")
    kiln.submit([6_000])
    kiln.until("status = 'RUNNING'")
    doomed.respawn = False
    assert doomed.terminate(group=True) < 20
    # Then it need not wait for its lease of half a minute, and what was begun counts for nothing
    assert doomed.said("worker.released") == 1
    assert kiln.rows("SELECT status, attempts, deliveries FROM executions, broker.messages") == [("PENDING", 0, 0)]
    kiln.fleet.worker("execute-2")
    kiln.until("status = 'RUNNING' AND attempts = 1", seconds=20)
    kiln.verdict().assert_kept()


def test_what_another_worker_of_the_same_name_holds_is_left_to_it(kiln: Installation) -> None:
    # Given two workers whose nodes are called the same, each at work
    doomed = kiln.fleet.worker("execute-1", concurrency=1, broken="unpatient")
    survivor = kiln.fleet.worker("execute-1", concurrency=1, KILN_HOME=str(kiln.directory / "other"))
    kiln.submit([6_000] * 2)
    until(lambda: kiln.count("status = 'RUNNING'") == 2, what="two busy workers")
    # When one of them is told to stop, and gives back what it held
    doomed.respawn = False
    doomed.terminate(group=True)
    assert doomed.said("worker.released") == 1
    # Then only that is done again, and the other is still known
    assert kiln.rows("SELECT count(*) FROM broker.consumers WHERE node LIKE 'execute-1@%%'") == [(1,)]
    assert kiln.await_rest()
    assert kiln.rows("SELECT attempts FROM executions") == [(1,), (1,)]
    assert kiln.rows("SELECT count(*) FROM chaos.history WHERE returned") == [(1,)]
    assert survivor.exits == []


def stopped_while_busy(kiln: Installation, broken: str | None) -> None:
    """A worker with two busy children gets SIGTERM with its whole group; another does what is left."""
    busy = kiln.fleet.worker("execute-1", broken=broken)
    kiln.submit([2_500] * 2)
    until(lambda: kiln.count("status = 'RUNNING'") == 2, what="a busy pool")
    busy.respawn = False
    busy.terminate(group=True)
    kiln.fleet.worker("execute-2")
    assert kiln.await_rest()
