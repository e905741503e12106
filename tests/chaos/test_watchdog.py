"""R7: a worker that lives and does nothing ends, and one that has a reason to do nothing does not."""

import time

from tests.chaos.installation import Installation
from tests.chaos.scale import Scale
from tests.patience import until


def test_a_worker_that_claims_nothing_although_it_could_ends_and_says_so(kiln: Installation, scale: Scale) -> None:
    stalled = kiln.fleet.worker(broken="idle,hasty" if scale is Scale.SHORT else "idle")
    kiln.submit([0])
    until(lambda: stalled.exits, what="the end of the stalled worker")
    assert stalled.exits == [70]
    assert stalled.said("worker.stalled") == 1


def test_workers_that_have_a_reason_to_claim_nothing_are_left_alone(kiln: Installation, scale: Scale) -> None:
    judged_seconds, broken = scale(9, 30), "hasty" if scale is Scale.SHORT else None
    # Given a worker that was told not to consume, one that has its hands full, and one that waits for its rate limit
    cancelled, busy, limited = kiln.fleet.workers(3, concurrency=1, broken=broken)
    kiln.celery.control.cancel_consumer("execute", destination=[node_name(kiln, "execute-1")], reply=True, timeout=3)
    kiln.celery.control.rate_limit(
        "executions.run", "1/h", destination=[node_name(kiln, "execute-3")], reply=True, timeout=3
    )
    kiln.submit([(judged_seconds + 4) * 1_000] * 8)
    # When messages wait longer than it takes to be judged
    time.sleep(judged_seconds)
    assert kiln.rows("SELECT FROM broker.messages WHERE state = 'ready'")
    # Then each of them is still there
    assert [node.exits for node in (cancelled, busy, limited)] == [[], [], []]


def node_name(kiln: Installation, name: str) -> str:
    """A worker's full name."""
    ((found,),) = kiln.rows("SELECT node FROM broker.consumers WHERE node LIKE %s", f"{name}@%")
    return str(found)
