"""R6b: others hold every connection that PostgreSQL has."""

import time

import pytest
import requests

from tests.chaos.conftest import Report
from tests.chaos.installation import Installation
from tests.chaos.ledger import Answer
from tests.chaos.nemesis import slots_taken
from tests.chaos.scale import Scale
from tests.patience import until


@pytest.mark.promise("R6b", "While others hold every connection nothing is lost; then all resumes by itself.")
def test_without_a_connection_left_requests_are_refused_and_nothing_is_lost(
    durable_kiln: Installation, report: Report, scale: Scale
) -> None:
    rounds, seconds, patience = scale(1, 6), scale(4.0, 15.0), scale(60, 10)
    durable_kiln.fleet.workers(2)
    slowest = 0.0
    with durable_kiln.writing():
        for _ in range(rounds):
            time.sleep(1)
            with slots_taken(durable_kiln.url):
                time.sleep(seconds)
                refused(durable_kiln)
            slowest = max(slowest, resumed(durable_kiln, seconds=patience))
    verdict = durable_kiln.verdict(seconds=scale(60, 600))
    # Not one of the web and the workers had to be started anew.
    assert durable_kiln.clients.problems == []
    assert [node.exits for node in durable_kiln.fleet.nodes] == [[], [], []]
    told = durable_kiln.ledger.count(Answer.REFUSED)
    report(verdict, f"{rounds} times, {told} requests refused with 503, working again after at most {slowest:.1f} s")


def test_a_worker_that_does_not_connect_again_leaves_what_was_accepted(durable_kiln: Installation) -> None:
    """Must fail: nobody is left to do what was accepted."""
    hopeless = durable_kiln.fleet.worker(broken="hopeless")
    hopeless.respawn = False
    durable_kiln.submit([5_000, 0, 0, 0])
    durable_kiln.until("status = 'RUNNING'")
    with slots_taken(durable_kiln.url):
        until(lambda: hopeless.exits, what="the end of the worker")
    assert durable_kiln.verdict(seconds=5).lost > 0


def resumed(kiln: Installation, *, seconds: float) -> float:
    """How long it takes until requests are accepted and executions end again."""

    def counts() -> tuple[int, int]:
        return kiln.ledger.count(Answer.ACCEPTED), kiln.count("status = 'COMPLETED'")

    accepted, completed = counts()

    def both_grew() -> bool:
        now = counts()
        return now[0] > accepted and now[1] > completed

    return until(both_grew, seconds=seconds, what="work")


def refused(kiln: Installation) -> None:
    """What clients and load balancers are told meanwhile."""
    headers = {"Authorization": f"Bearer {kiln.key}"}
    response = requests.get(f"{kiln.clients.address}/functions", headers=headers, timeout=30)
    assert (response.status_code, response.json()["code"]) == (503, "unavailable")
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["Retry-After"]
    for path, status in (("readyz", 503), ("livez", 200)):
        assert requests.get(f"{kiln.clients.address}/{path}", timeout=30).status_code == status
