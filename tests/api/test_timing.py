"""When an execution runs: not before, not after, and before which others."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from flask.testing import FlaskClient
from kombu import Connection

from app.accounts import first
from app.broker import Delivery
from app.broker.statements import RELEASE_HELD
from app.executions import queries, running, service
from app.executions.domain import Priority, Submission
from app.identity import new_id
from app.platform import Platform
from app.queue import Queue
from app.settings import Settings
from tests.api.answers import assert_problem, registered_ready
from tests.programs import TRAP
from tests.workbench import Workbench

Rows = Callable[..., list[Any]]

ASYNC = {"Prefer": "respond-async"}


@pytest.fixture
def url(client: FlaskClient, workbench: Workbench) -> str:
    """A function's address."""
    return f"/functions/{registered_ready(client, workbench)['id']}"


@pytest.fixture
def beat(settings: Settings) -> Callable[[], None]:
    """What a worker does once a second."""

    def once() -> None:
        options = {"on_expired": [queries.EXPIRED]}
        with Connection(settings.database_url, transport_options=options) as connection:
            pump = connection.default_channel.connection.pump
            pump.consuming("execute")
            pump.beat()

    return once


def accepted(client: FlaskClient, url: str, **body: Any) -> dict[str, Any]:
    """An execution that nobody waits for."""
    response = client.post(f"{url}/execute", json=body, headers=ASYNC)
    assert response.status_code == 202, response.text
    execution: dict[str, Any] = response.get_json()
    return execution


def from_now(**parts: float) -> str:
    """A time as the wire has it."""
    return (datetime.now(UTC) + timedelta(**parts)).isoformat()


def read(client: FlaskClient, execution: dict[str, Any]) -> dict[str, Any]:
    """It as it is now."""
    body: dict[str, Any] = client.get(f"/executions/{execution['id']}").get_json()
    return body


def test_what_is_scheduled_waits_for_its_time(
    client: FlaskClient, url: str, workbench: Workbench, beat: Callable[[], None]
) -> None:
    execution = accepted(client, url, notBefore=from_now(seconds=1))
    assert execution["notBefore"].endswith("Z")
    assert workbench.drain() == 0
    beat()
    assert workbench.drain() == 0
    time.sleep(1)
    beat()
    assert workbench.drain() == 1
    ended = read(client, execution)
    assert ended["status"] == "COMPLETED"
    assert ended["startedAt"] > ended["notBefore"] == execution["notBefore"]


def test_a_time_that_has_passed_is_now(client: FlaskClient, url: str, workbench: Workbench) -> None:
    accepted(client, url, notBefore=from_now(seconds=-100))
    assert workbench.drain() == 1


def test_what_no_worker_takes_in_time_expires_and_is_never_run(
    client: FlaskClient, url: str, workbench: Workbench, beat: Callable[[], None], rows: Rows
) -> None:
    execution = accepted(client, url, maxAgeSeconds=100)
    assert execution["expiresAt"] > execution["createdAt"]
    beat()
    assert read(client, execution)["status"] == "PENDING"
    rows("UPDATE broker.messages SET expires_at = now()")
    assert workbench.drain() == 0
    beat()
    ended = read(client, execution)
    assert (ended["status"], ended["errorType"], ended["output"]) == ("FAILED", "EXPIRED", None)
    assert "no worker took it before" in ended["errorMessage"]
    assert (ended["attempts"], ended["startedAt"]) == (0, None)
    assert rows("SELECT FROM broker.messages") == []


def test_what_is_taken_in_time_is_executed(client: FlaskClient, url: str, workbench: Workbench) -> None:
    execution = accepted(client, url, maxAgeSeconds=60)
    workbench.drain()
    assert read(client, execution)["status"] == "COMPLETED"


@pytest.mark.parametrize("end", ["lost", "drained", "failed"])
def test_what_was_taken_in_time_is_begun_again_whatever_became_of_its_worker(
    client: FlaskClient,
    url: str,
    workbench: Workbench,
    platform: Platform,
    beat: Callable[[], None],
    rows: Rows,
    end: str,
) -> None:
    execution = accepted(client, url, maxAgeSeconds=100)
    message = workbench.claim(Queue.EXECUTE)
    assert message is not None
    delivery = Delivery.of(message["properties"])
    rows("UPDATE broker.messages SET expires_at = now()")
    match end:
        case "lost":
            rows("UPDATE broker.messages SET ready_at = now()")
        case "drained":
            with psycopg.connect(platform.settings.database_url) as connection:
                hook = f", hook AS ({queries.RELEASED})"
                connection.execute(RELEASE_HELD.format(hooks=hook).encode(), {"holder": delivery.holder})
        case _:
            running.give_up(platform, delivery, UUID(execution["id"]))
            rows("UPDATE broker.messages SET ready_at = now()")
    beat()
    beat()
    assert workbench.drain() == 1
    assert read(client, execution)["status"] == "COMPLETED"


def test_a_retry_may_come_too_late(
    client: FlaskClient, workbench: Workbench, beat: Callable[[], None], rows: Rows
) -> None:
    traps = f"/functions/{registered_ready(client, workbench, 'traps', TRAP)['id']}"
    assert client.put(traps, json={"retry": {"attempts": 3}}).status_code == 200
    execution = accepted(client, traps, maxAgeSeconds=100)
    workbench.drain()
    rows("UPDATE broker.messages SET expires_at = now()")
    beat()
    ended = read(client, execution)
    assert (ended["errorType"], ended["attempts"]) == ("EXPIRED", 1)
    assert "no retry began before" in ended["errorMessage"]


def test_its_age_counts_from_when_it_may_begin(client: FlaskClient, url: str) -> None:
    execution = accepted(client, url, notBefore=from_now(hours=2), maxAgeSeconds=60)
    begins, expires = (datetime.fromisoformat(execution[name]) for name in ("notBefore", "expiresAt"))
    assert expires - begins == timedelta(seconds=60)


def test_whoever_waits_learns_that_it_expired(
    client: FlaskClient, url: str, beat: Callable[[], None], rows: Rows
) -> None:
    execution = accepted(client, url, maxAgeSeconds=1)
    time.sleep(1)
    beat()
    assert client.get(f"/executions/{execution['id']}?wait=20").get_json()["errorType"] == "EXPIRED"


def test_the_more_urgent_comes_first(client: FlaskClient, url: str, workbench: Workbench, rows: Rows) -> None:
    for priority in ("LOW", "NORMAL", "HIGH", "LOW", "HIGH"):
        assert accepted(client, url, priority=priority)["priority"] == priority
    workbench.drain()
    order = [priority for (priority,) in rows("SELECT priority FROM executions ORDER BY started_at")]
    assert order == ["HIGH", "HIGH", "NORMAL", "LOW", "LOW"]


@pytest.mark.parametrize("priority", Priority)
def test_what_somebody_waits_for_comes_before_its_like(
    client: FlaskClient, url: str, platform: Platform, workbench: Workbench, rows: Rows, priority: Priority
) -> None:
    for waiter in (None, "somebody"):
        submission = Submission(
            id=new_id(),
            function_id=UUID(url.rpartition("/")[2]),
            input="1",
            correlation_id="c",
            waiter=waiter,
            priority=priority,
        )
        service.submit(platform, first.program(platform), submission)
    message = workbench.claim(Queue.EXECUTE)
    assert message is not None
    assert rows("SELECT waiter FROM executions WHERE status = 'RUNNING'") == [("somebody",)]
    assert rows("SELECT count(DISTINCT priority) FROM broker.messages") == [(2,)]


def test_a_batch_has_its_terms_too(client: FlaskClient, url: str, workbench: Workbench, rows: Rows) -> None:
    body = {"inputs": [1, 2], "notBefore": from_now(hours=1), "maxAgeSeconds": 60, "priority": "LOW"}
    assert client.post(f"{url}/execute-batch", json=body).status_code == 202
    assert workbench.drain() == 0
    assert rows("SELECT DISTINCT priority, expires_at - not_before FROM executions") == [("LOW", timedelta(seconds=60))]
    assert rows("SELECT state, priority, count(*) FROM broker.messages GROUP BY 1, 2") == [("delayed", 1, 2)]


@pytest.mark.parametrize(
    "body",
    [
        {"priority": "URGENT"},
        {"priority": 1},
        {"notBefore": "tomorrow"},
        {"maxAgeSeconds": 0},
        {"maxAgeSeconds": 1.5},
        {"maxAgeSeconds": 10**9},
    ],
)
def test_terms_that_make_no_sense_are_refused(client: FlaskClient, url: str, body: dict[str, Any]) -> None:
    assert_problem(client.post(f"{url}/execute", json=body), "validation_error")


def test_what_is_too_far_away_is_refused(client: FlaskClient, url: str) -> None:
    assert_problem(client.post(f"{url}/execute", json={"notBefore": from_now(days=367)}), "schedule_refused")
    accepted(client, url, notBefore=from_now(days=365))
