"""Messages that Celery cannot work on: a real worker sets them aside and works on."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from app.settings import Settings
from tests.acceptance.processes import LocalProcess
from tests.broker import plain

Rows = Callable[..., list[Any]]
Start = Callable[[str], LocalProcess]


@pytest.fixture
def celery(settings: Settings) -> Iterator[Celery]:
    """A client of the worker's."""
    with plain.client(settings.database_url) as app:
        yield app


@pytest.fixture
def start(settings: Settings, tmp_path: Path) -> Iterator[Start]:
    """Starts a worker with the transport's own steps and two places."""
    started: list[LocalProcess] = []

    def worker(pool: str) -> LocalProcess:
        argv = ["celery", "-A", "tests.broker.plain", "worker", "--pool", pool, "--concurrency", "2", "-E"]
        environment = {"PLAIN_BROKER_URL": settings.database_url, "PLAIN_RESULTS": "rpc://", "PLAIN_STEPS": "1"}
        started.append(
            LocalProcess(
                pool,
                [*argv, "--hostname", f"{pool}@h", "--loglevel", "info"],
                environment=environment,
                log=tmp_path / f"{pool}.log",
                needle="ready.",
            )
        )
        started[-1].ready()
        return started[-1]

    yield worker
    for process in started:
        process.teardown()


def message(headers: dict[str, Any], **properties: Any) -> str:
    """A call of `add`, with some headers and properties of another kind."""
    return json.dumps(
        {
            "body": "[[1, 2], {}, {}]",
            "content-type": "application/json",
            "content-encoding": "utf-8",
            "headers": {"task": "add", "id": "x", "lang": "py"} | headers,
            "properties": {"body_encoding": "utf-8", "delivery_info": {"exchange": "", "routing_key": "celery"}}
            | properties,
        }
    )


#: In how many ways a message may be of no use to Celery, each as many times as there are places.
STRANGE = [
    message({"timelimit": "x"}),
    message({"timelimit": ["a", "b"]}),
    message({"timelimit": [float("inf"), None]}).replace("Infinity", "1e999"),
    message({"shadow": [1]}),
    message({"shadow": {"a": 1}, "group": 5, "group_index": "x"}),
    message({"stamped_headers": 5, "stamps": 5}),
    message({"id": [1]}),
    message({"task": "a\0b"}),
    message({"task": "\ud800"}),
    message({}, body_encoding=5),
    message({}, body_encoding="base64").replace("[[1", "a[[1"),
] * 2


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_what_celery_cannot_work_on_is_set_aside_and_takes_no_place(
    celery: Celery, start: Start, rows: Rows, pool: str
) -> None:
    # Given a worker, and more of such messages than it has places
    for payload in STRANGE:
        rows("INSERT INTO broker.messages (queue, payload) VALUES ('celery', %s)", payload)
    worker = start(pool)
    # Then what comes after them is done
    results = [celery.tasks["add"].delay(number, 1) for number in range(8)]
    assert [result.get(timeout=15) for result in results] == list(range(1, 9))
    # And they are kept with every byte, in nobody's hands
    deadline = time.monotonic() + 5
    while rows("SELECT FROM broker.messages WHERE state = 'leased'") and time.monotonic() < deadline:
        time.sleep(0.1)
    kept = rows("SELECT payload::text FROM broker.dead ORDER BY id")
    assert [payload for payload in STRANGE if (payload,) not in kept] == []
    assert rows("SELECT state, count(*) FROM broker.messages GROUP BY state") == [("dead", len(STRANGE))]
    assert worker.status == "running"
