"""R1: children of a worker are killed, idle and busy."""

import pytest

from tests.chaos.conftest import Report
from tests.chaos.fleet import Node
from tests.chaos.installation import Installation
from tests.chaos.scale import Scale
from tests.patience import until

CHILDREN = 4


@pytest.mark.promise("R1", "A killed child of a worker costs one attempt, never the worker.")
def test_a_killed_child_costs_one_attempt_and_never_the_worker(
    kiln: Installation, report: Report, scale: Scale
) -> None:
    rounds, executions = scale(1, 3), scale(60, 100)
    worker = kiln.fleet.worker(concurrency=CHILDREN)
    for _ in range(rounds):
        # When every idle child is killed, one after the other, and then every busy one
        kill_pool(worker)
        kiln.submit([1_000] * CHILDREN)
        until(lambda: kiln.count("status = 'RUNNING'") == CHILDREN, what="a busy pool")
        kill_pool(worker)
        # So that none is killed in three rounds, which would set it aside
        kiln.await_rest()
    # Then everything runs as ever, in the same worker
    kiln.submit(range(executions))
    verdict = kiln.verdict()
    assert kiln.count("status = 'COMPLETED'") == rounds * CHILDREN + executions
    assert worker.exits == []
    # And it ends when it is told to
    worker.respawn = False
    assert worker.terminate() < 30
    report(verdict, f"{rounds * 2 * CHILDREN} children killed")


def test_without_an_event_loop_one_killed_child_stops_the_worker(kiln: Installation) -> None:
    """Must fail: the idle child that is killed holds the lock of the pipe that all children share."""
    worker = kiln.fleet.worker(concurrency=CHILDREN, broken="blocking")
    # A child that has just been forked does not wait at the pipe yet; one that has worked does, and holds the lock
    kiln.submit(range(20))
    assert kiln.await_rest()
    kill_pool(worker)
    kiln.submit(range(20))
    assert not kiln.await_rest(seconds=5)
    assert kiln.verdict(seconds=0).lost > 0


def kill_pool(worker: Node) -> None:
    """`kill -9` of every child; returns when others have taken their places, for which Celery takes up to 5 s."""
    until(lambda: len(worker.children) == CHILDREN, what="a full pool")
    killed = worker.children
    for child in killed:
        child.kill()
    until(lambda: len(set(worker.children) - set(killed)) == CHILDREN, what="a new pool")
