"""R9b: requests are sent again, many at a time, and while web servers are killed."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
import requests

from tests.chaos.conftest import Report
from tests.chaos.installation import Installation
from tests.chaos.ledger import Answer
from tests.chaos.nemesis import Nemesis
from tests.chaos.scale import Scale

_AGAIN_SECONDS = 0.1


def asked(kiln: Installation, key: str | None, correlation_id: str) -> requests.Response | None:
    """One request under a key; none where no answer came."""
    headers = kiln.authorization | {"Prefer": "respond-async", "X-Correlation-Id": correlation_id}
    headers |= {} if key is None else {"Idempotency-Key": key}
    url = f"{kiln.clients.address}/functions/{kiln.functions['nap']}/execute"
    try:
        return requests.post(url, json={"input": 0}, headers=headers, timeout=30)
    except requests.RequestException:
        return None


def insist(kiln: Installation, key: str | None) -> str:
    """Send a request again until it is accepted, as a client does that never gives up; answers the execution's id."""
    client_id = str(uuid4())
    while True:
        response = asked(kiln, key, client_id)
        if response is not None and response.status_code in {200, 202}:
            execution_id: str = response.json()["id"]
            kiln.ledger.note(client_id, Answer.ACCEPTED, execution_id)
            return execution_id
        time.sleep(_AGAIN_SECONDS)


@pytest.mark.promise("R9b", "A request that is sent again under its key is done once, whoever is killed in between.")
def test_a_request_is_done_once_though_its_web_server_is_killed(
    kiln: Installation, report: Report, scale: Scale
) -> None:
    requests_, kills, kills_every = scale(100, 5_000), scale(3, 100), scale(1.0, 8.0)
    kiln.fleet.workers(1)
    assert kiln.clients.address
    (web,) = [node for node in kiln.fleet.nodes if node.name == "web"]
    ids: list[str] = []
    with Nemesis(web.kill, every_seconds=kills_every, most=kills) as nemesis, ThreadPoolExecutor(8) as threads:
        while len(ids) < requests_ or nemesis.acts < kills:
            numbers = range(len(ids), len(ids) + 100)
            ids += threads.map(lambda number: insist(kiln, f"request {number}"), numbers)
    verdict = kiln.verdict(seconds=scale(90, 300))
    assert len(set(ids)) == len(ids)
    assert kiln.rows("SELECT count(*) FROM executions") == [(len(ids),)]
    report(verdict, f"web servers killed {nemesis.acts} times")


def test_a_hundred_at_a_time_make_one(kiln: Installation, scale: Scale) -> None:
    rounds, at_once = scale(10, 1_000), scale(50, 100)
    assert kiln.clients.address
    with ThreadPoolExecutor(at_once) as threads:
        for number in range(rounds):
            start = threading.Barrier(at_once)

            def ask(_client: int, key: str = f"round {number}", start: threading.Barrier = start) -> str | None:
                start.wait()
                response = asked(kiln, key, str(uuid4()))
                return response.json().get("id") if response is not None else None

            answered = list(threads.map(ask, range(at_once)))
            assert len(set(answered)) == 1
            assert answered[0] is not None
    assert kiln.rows("SELECT count(*) FROM executions") == [(rounds,)]


def test_without_a_key_it_is_done_again(kiln: Installation) -> None:
    """Must fail: nobody knows that it is the same request."""
    assert kiln.clients.address
    (web,) = [node for node in kiln.fleet.nodes if node.name == "web"]
    client_id = str(uuid4())
    # The answer gets lost: to its client it is as if it had never come.
    assert asked(kiln, None, client_id) is not None
    web.kill()
    while asked(kiln, None, client_id) is None:
        time.sleep(_AGAIN_SECONDS)
    assert kiln.rows("SELECT count(*) FROM executions WHERE correlation_id = %s", client_id) == [(2,)]
