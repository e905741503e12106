"""Flower as it comes, on our broker and behind our door."""

import base64
import hashlib
import re
import socket
from collections.abc import Callable
from typing import Any

import requests
from pytest_celery import CeleryTestSetup

from app.addresses import flower_socket, private_directory
from app.settings import Settings
from tests.acceptance.conftest import PASSWORD, Client
from tests.acceptance.processes import LocalProcess
from tests.patience import until
from tests.programs import ECHO, LOOP

Rows = Callable[..., list[Any]]

PAGES = ("", "/", "/workers", "/workers?json=1", "/tasks", "/broker", "/healthcheck", "/metrics")
LISTS = ("/api/workers?refresh=1", "/api/workers?status=1", "/api/tasks", "/api/task/types", "/api/queues/length")


class Flower:
    """Flower as its users see it, who must not see the database's password."""

    def __init__(self, kiln: Client) -> None:
        self._kiln = kiln

    def __call__(self, method: str, path: str, **kwargs: Any) -> requests.Response:
        """One request."""
        answer = self._kiln(method, f"/flower{path}", **kwargs)
        assert PASSWORD not in answer.text, path
        return answer

    def says(self, path: str, **kwargs: Any) -> str:
        """What a POST answers in words when it succeeds."""
        answer = self("POST", path, **kwargs)
        assert answer.status_code == 200, (path, answer.status_code, answer.text)
        message: str = answer.json()["message"]
        return message

    def refuses(self, path: str, **kwargs: Any) -> str:
        """What Flower answers to a POST that the worker refuses."""
        answer = self("POST", path, **kwargs)
        assert answer.status_code == 403, (path, answer.status_code, answer.text)
        return answer.text


def test_flower(
    kiln: Client,
    celery_setup: CeleryTestSetup,
    settings: Settings,
    new_flower: Callable[[], LocalProcess],
    new_worker: Callable[..., LocalProcess],
    rows: Rows,
) -> None:
    """One Flower answers everything: starting it takes longer than any question."""
    away = kiln("GET", "/flower")
    assert (away.status_code, away.json()["detail"]) == (503, "Flower does not run beside this process.")
    leave_a_socket_behind(settings)
    started, flower = new_flower(), Flower(kiln)
    assert not [entry for entry in started.process.net_connections() if entry.status == "LISTEN" and entry.laddr.ip]

    compile_node, node = sorted(item["name"] for item in kiln("GET", "/operations/workers").json()["items"])
    until(lambda: sorted(flower("GET", "/api/workers").json()) == [compile_node, node])
    echo, loop = kiln.register("echo", "wat", ECHO), kiln.register("loop", "wat", LOOP, limits={"timeoutMs": 60_000})
    kiln.compiled(echo)
    kiln.compiled(loop)

    see_an_execution(kiln, flower, echo, node)
    open_every_page(flower, node)
    count_what_waits(kiln, flower, celery_setup, echo)
    send_tasks(flower, rows)
    steer_a_worker(flower, node)
    stop_what_runs(kiln, flower, loop, node)
    turn_other_sites_away(flower)
    meet_a_new_worker(flower, new_worker)
    assert flower.says(f"/api/worker/shutdown/{compile_node}") == "Shutting down!"
    until(lambda: rows("SELECT FROM broker.consumers WHERE node = %s", compile_node) == [])


def leave_a_socket_behind(settings: Settings) -> None:
    """A Flower that was killed leaves its socket, on which nobody listens."""
    path = flower_socket(settings.home)
    private_directory(path.parent)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))


def see_an_execution(kiln: Client, flower: Flower, echo: str, node: str) -> None:
    """An execution is a task of the same id, and its output is its result."""
    execution_id = kiln("POST", f"/functions/{echo}/execute", json={"input": {"n": 1}}).json()["id"]
    until(lambda: flower("GET", f"/api/task/info/{execution_id}").status_code == 200)
    until(lambda: flower("GET", f"/api/task/info/{execution_id}").json()["state"] == "SUCCESS")
    info = flower("GET", f"/api/task/info/{execution_id}").json()
    assert (info["name"], info["worker"]) == ("executions.run", node)
    result = flower("GET", f"/api/task/result/{execution_id}").json()
    assert (result["state"], result["result"]) == ("SUCCESS", {"n": 1})
    assert node in flower("GET", f"/task/{execution_id}").text
    assert execution_id in flower("GET", "/api/tasks").json()
    assert flower("HEAD", f"/task/{execution_id}").headers["Content-Type"].startswith("text/html")


def open_every_page(flower: Flower, node: str) -> None:
    """Every page is there with all that it loads, and its browser is told to load nothing else."""
    for path in (*PAGES, *LISTS, f"/worker/{node}", f"/api/workers?workername={node}"):
        answer = flower("GET", path, headers={"X-Correlation-Id": "seen"})
        assert answer.status_code == 200, path
        assert answer.headers["X-Correlation-Id"] == "seen"
        assert not {"Set-Cookie", "Access-Control-Allow-Origin"} & set(answer.headers), path
        if "text/html" in answer.headers["Content-Type"]:
            load_all_of(flower, answer)
    first = flower("GET", "/tasks")
    again = flower("GET", "/tasks", headers={"If-None-Match": first.headers["Etag"]})
    assert (again.status_code, again.headers.get("Content-Type")) == (304, None)
    assert "flower_events_total" in flower("GET", "/metrics").text
    assert flower("GET", "/nowhere").status_code == 404


def load_all_of(flower: Flower, page: requests.Response) -> None:
    """What a page's elements load is there, and its own scripts are allowed."""
    policy = page.headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in policy
    for target in re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=\"([^\"]+)\"", page.text):
        assert target.startswith("/flower/static/")
        assert flower("GET", target.removeprefix("/flower")).status_code == 200, target
    for script in re.findall(r"<script[^>]*>([^<]+)</script>", page.text):
        assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() in policy


def count_what_waits(kiln: Client, flower: Flower, celery_setup: CeleryTestSetup, echo: str) -> None:
    """The broker's tab has the numbers of `GET /operations/queues`."""
    _, execute_worker = celery_setup.worker_cluster
    execute_worker.container.kill("SIGSTOP")
    sent = [kiln("POST", f"/functions/{echo}/execute", json={}, headers={"Prefer": "respond-async"}) for _ in range(5)]
    queues = {queue["name"]: queue for queue in flower("GET", "/api/queues/length").json()["active_queues"]}
    assert {name: queue["messages"] for name, queue in queues.items()} == {"compile": 0, "execute": 5}
    ours = {queue["name"]: queue for queue in kiln("GET", "/operations/queues").json()["items"]}
    assert queues["execute"]["messages_ready"] == ours["execute"]["ready"]
    assert queues["execute"]["consumers"] == ours["execute"]["consumers"] == 1
    row = re.findall(r"<td[^>]*>(.*?)</td>", flower("GET", "/broker").text.split('<tr id="execute">')[1])
    assert row[:2] == ["execute", "5"]
    execute_worker.container.kill("SIGCONT")
    for answer in sent:
        assert kiln("GET", f"{answer.headers['Location']}?wait=20").json()["status"] == "COMPLETED"


def send_tasks(flower: Flower, rows: Rows) -> None:
    """Tasks can be sent by hand; one for an execution that is not there does nothing."""
    body = {"kwargs": {"execution_id": "01890000-0000-7000-8000-000000000000"}}
    for verb in ("apply", "async-apply", "send-task"):
        answer = flower("POST", f"/api/task/{verb}/executions.run", json=body)
        assert answer.status_code == 200, (verb, answer.text)
        assert answer.json()["task-id"]
    assert flower("POST", "/api/task/apply/unknown", json={}).status_code == 404
    until(lambda: rows("SELECT FROM broker.messages") == [])


def steer_a_worker(flower: Flower, node: str) -> None:
    """What Celery can change in a running worker."""
    limits = {"workername": node, "ratelimit": "1000/s", "soft": 300, "hard": 400}
    assert flower.says("/api/task/rate-limit/executions.run", data=limits) == "new rate limit set successfully"
    assert flower.says("/api/task/timeout/executions.run", data=limits) == "time limits set successfully"
    assert "Growing" in flower.says(f"/api/worker/pool/grow/{node}?n=1")
    assert "Shrinking" in flower.says(f"/api/worker/pool/shrink/{node}", data={"n": 1})
    assert "add consumer" in flower.says(f"/api/worker/queue/add-consumer/{node}", data={"queue": "extra"})
    assert "no longer" in flower.says(f"/api/worker/queue/cancel-consumer/{node}", data={"queue": "extra"})
    assert "Pool restarts not enabled" in flower.refuses(f"/api/worker/pool/restart/{node}")
    assert "Autoscale not enabled" in flower.refuses(f"/api/worker/pool/autoscale/{node}", data={"min": 1, "max": 2})
    assert flower("POST", "/api/worker/pool/grow/nobody@nowhere").status_code == 404


def stop_what_runs(kiln: Client, flower: Flower, loop: str, node: str) -> None:
    """What runs is revoked or aborted; while it runs the pool cannot shrink."""
    for _ in range(2):
        kiln("POST", f"/functions/{loop}/execute", json={}, headers={"Prefer": "respond-async"})
    until(lambda: len(flower("GET", "/api/tasks?state=STARTED").json()) == 2)
    first, second = (item["id"] for item in kiln("GET", "/executions?status=RUNNING").json()["items"])
    assert "busy" in flower.refuses(f"/api/worker/pool/shrink/{node}")
    assert flower.says(f"/api/task/revoke/{first}", data={"terminate": "true"}) == f"Revoked '{first}'"
    assert flower.says(f"/api/task/abort/{second}") == f"Aborted '{second}'"
    for execution_id in (first, second):
        body = kiln("GET", f"/executions/{execution_id}?wait=10").json()
        assert (body["status"], body["attempts"]) == ("CANCELLED", 1)
    until(lambda: flower("GET", f"/api/task/info/{first}").json()["state"] == "REVOKED")
    until(lambda: kiln("GET", "/operations/queues").json()["items"][1]["leased"] == 0)


def meet_a_new_worker(flower: Flower, new_worker: Callable[..., LocalProcess]) -> None:
    """A worker that comes later can be steered without anybody asking Flower to look for it."""
    new_worker("execute", "late")
    until(lambda: [name for name in flower("GET", "/api/workers").json() if name.startswith("late@")])
    (late,) = (name for name in flower("GET", "/api/workers").json() if name.startswith("late@"))
    assert "Growing" in flower.says(f"/api/worker/pool/grow/{late}")


def turn_other_sites_away(flower: Flower) -> None:
    """Another site's page cannot press a button here."""
    ours = flower("GET", "/healthcheck").url.split("/flower")[0]
    for headers, status in (
        ({"Origin": "http://elsewhere.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site", "Origin": ours}, 403),
        ({"Sec-Fetch-Site": "same-origin", "Origin": ours}, 200),
        ({}, 200),
    ):
        answer = flower("POST", "/api/task/revoke/nothing", headers=headers)
        assert answer.status_code == status, headers
        assert status == 200 or answer.json()["code"] == "csrf_failed"
