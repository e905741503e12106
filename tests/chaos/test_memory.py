"""R15: a worker executes much and connects again often."""

import pytest

from tests.chaos.conftest import Report
from tests.chaos.fleet import Node
from tests.chaos.installation import Installation
from tests.chaos.nemesis import terminate_backends
from tests.chaos.scale import Scale
from tests.patience import until

MIB = 1 << 20


@pytest.mark.promise("R15", "A worker's memory stays as it is, however much it executes and how often it reconnects.")
def test_a_worker_does_not_grow(kiln: Installation, report: Report, scale: Scale) -> None:
    executions, reconnects, at_most_mib = scale(600, 60_000), scale(12, 200), scale(20, 20)
    worker = kiln.fleet.worker()
    kiln.submit([0] * (executions // 3))
    for _ in range(3):
        reconnect(kiln, worker)
    kiln.await_rest(seconds=900)
    before, open_before = memory_mib(worker), worker.process.num_fds()
    for _ in range(reconnects):
        reconnect(kiln, worker)
    kiln.submit([0] * (executions * 2 // 3))
    verdict = kiln.verdict(seconds=900)
    grown = memory_mib(worker) - before
    assert grown < at_most_mib
    assert worker.process.num_fds() <= open_before + 2
    assert worker.exits == []
    report(verdict, f"{reconnects} reconnects, grown by {grown:.1f} MiB from {before:.0f}")


def test_a_worker_that_keeps_something_of_every_message_grows(kiln: Installation) -> None:
    """Must fail: 64 kB of each. They take too long to be done in groups, of which the parent gets one message."""
    worker = kiln.fleet.worker(broken="leaking")
    kiln.submit([30] * 50)
    kiln.await_rest()
    before = memory_mib(worker)
    kiln.submit([30] * 400)
    kiln.await_rest()
    assert memory_mib(worker) - before > 20


def reconnect(kiln: Installation, worker: Node) -> None:
    """Break the connection on which the worker consumes; returns when it has another."""
    like = f"kiln broker %:{worker.pid}:%"
    terminate_backends(kiln.url, like=like)
    alive = "SELECT FROM broker.consumers WHERE node LIKE 'execute-1@%%' AND seen_at > now() - interval '1 second'"
    until(lambda: kiln.rows("SELECT FROM pg_stat_activity WHERE application_name LIKE %s", like) and kiln.rows(alive))


def memory_mib(worker: Node) -> float:
    """What the parent holds for itself alone."""
    return float(worker.process.memory_full_info().uss / MIB)
