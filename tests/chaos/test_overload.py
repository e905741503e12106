"""R21: far more is asked for than can be done."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
import requests

from tests.chaos.conftest import Report
from tests.chaos.installation import Installation
from tests.chaos.ledger import Answer
from tests.chaos.scale import Scale

_LIMIT = 60


@pytest.mark.promise(
    "R21", "What is too much is refused at once and says when to ask again; what was accepted is done."
)
def test_what_is_too_much_is_refused_and_the_rest_is_done(kiln: Installation, report: Report, scale: Scale) -> None:
    seconds, clients = scale(8, 300), 16
    address = kiln.fleet.web(KILN_USER_QUEUE=str(_LIMIT))
    kiln.fleet.workers(1)
    url = f"{address}/functions/{kiln.functions['nap']}/execute"
    web = kiln.fleet.nodes[0].process
    stop, statuses, waits = threading.Event(), list[int](), set[str | None]()

    def flood(number: int) -> None:
        sent = 0
        while not stop.is_set():
            sent += 1
            client_id = f"{number}-{sent}"
            headers = kiln.authorization | {"Prefer": "respond-async", "X-Correlation-Id": client_id}
            response = requests.post(url, json={"input": 100}, headers=headers, timeout=30)
            statuses.append(response.status_code)
            accepted = response.status_code == 202
            kiln.ledger.note(
                client_id, Answer.ACCEPTED if accepted else Answer.REFUSED, response.json()["id"] if accepted else ""
            )
            if not accepted:
                waits.add(response.headers.get("Retry-After"))

    with ThreadPoolExecutor(clients) as threads:
        running = [threads.submit(flood, number) for number in range(clients)]
        time.sleep(seconds / 2)
        before = _memory(web)
        time.sleep(seconds / 2)
        after = _memory(web)
        stop.set()
        for one in running:
            one.result()
    assert set(statuses) == {202, 429}
    assert waits == {"5"}
    assert statuses.count(429) > statuses.count(202) / 2
    # No more waited than may, but for what was under way at the same moment.
    ((most,),) = kiln.rows("SELECT count(*) FROM broker.messages WHERE queue = 'execute' AND state = 'ready'")
    assert most <= _LIMIT + clients
    assert after - before < 30 << 20
    verdict = kiln.verdict(seconds=60)
    # And then everything is as before.
    response = requests.post(url, json={"input": 0}, headers=kiln.authorization, timeout=30)
    assert response.json()["status"] == "COMPLETED"
    grown = (after - before) / (1 << 20)
    report(verdict, f"{len(statuses)} requests, {statuses.count(429)} refused, the web server grew by {grown:.0f} MiB")


def _memory(process: psutil.Process) -> int:
    return int(process.memory_info().rss)
