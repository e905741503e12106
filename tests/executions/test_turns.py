"""Turns at background work, by a child's own parts in the test's process."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient

from app.accounts import first as first_administrator
from app.broker import Delivery, Keeper
from app.executions import service, turns
from app.executions.domain import Finish, Submission
from app.executions.queries import Claimed
from app.executions.turns import Turns
from app.functions.modules import Modules
from app.identity import new_id
from app.platform import Platform
from tests.api.answers import registered_ready
from tests.programs import ECHO, LOOP
from tests.workbench import Workbench

Rows = Callable[..., list[Any]]
Attempted = Callable[[Claimed], AbstractContextManager[object]]


class Child:
    """A worker's child: claims as its main process would, and takes turns."""

    def __init__(self, platform: Platform, workbench: Workbench) -> None:
        self._platform, self._workbench = platform, workbench
        self.modules = Modules(platform)
        self.keeper = Keeper(platform.settings.database_url, lease_seconds=15)
        self.observed: list[UUID] = []

    def take_turn(self, attempted: Attempted = lambda _claimed: nullcontext()) -> None:
        """One message, and what is taken along with it."""
        message = self._workbench.claim(Workbench.EXECUTE)
        assert message is not None
        self.take(Claimed(UUID(message["headers"]["id"]), Delivery.of(message["properties"])), attempted)

    def take(self, first: Claimed, attempted: Attempted = lambda _claimed: nullcontext()) -> None:
        """The rest of it, when that message is claimed."""
        Turns(self._platform, self.modules, self.keeper, attempted, self._observe).take(first)

    def drain(self) -> int:
        """Turns until nothing is ready; answers how many."""
        turns = 0
        while self._workbench.has_ready(Workbench.EXECUTE):
            self.take_turn()
            turns += 1
        return turns

    def _observe(self, claimed: Claimed, _end: Finish) -> None:
        self.observed.append(claimed.execution_id)


@pytest.fixture
def child(platform: Platform, workbench: Workbench) -> Child:
    """A child of its own."""
    return Child(platform, workbench)


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine is, a group has time enough."""
    for name in ("TURN_SECONDS", "GROUP_SECONDS", "MOST_GROUP_SECONDS"):
        monkeypatch.setattr(turns, name, 60.0)


def batch(client: FlaskClient, function: dict[str, Any], inputs: list[Any]) -> list[str]:
    """The ids of executions that nobody waits for."""
    response = client.post(f"/functions/{function['id']}/execute-batch", json={"inputs": inputs})
    ids: list[str] = response.get_json()["executionIds"]
    return ids


@pytest.mark.usefixtures("unhurried")
def test_a_turn_takes_others_along_in_their_order(
    client: FlaskClient, workbench: Workbench, child: Child, rows: Rows
) -> None:
    function = registered_ready(client, workbench)
    ids = batch(client, function, list(range(200)))
    assert child.drain() < 100
    assert [str(each) for each in child.observed] == ids
    found = rows("SELECT output::text, status, attempts, started_at <= completed_at FROM executions ORDER BY id")
    assert found == [(str(number), "COMPLETED", 1, True) for number in range(200)]
    assert rows("SELECT FROM broker.messages WHERE queue = 'execute'") == []


@pytest.mark.usefixtures("unhurried")
def test_each_end_is_guarded_by_its_own_lease(
    client: FlaskClient, workbench: Workbench, child: Child, rows: Rows
) -> None:
    # Given a group in which the lease of one is lost while the others run
    function = registered_ready(client, workbench)
    ids = batch(client, function, [0])
    child.drain()
    ids = batch(client, function, list(range(10)))

    @contextmanager
    def attempted(claimed: Claimed) -> Iterator[None]:
        if str(claimed.execution_id) == ids[5]:
            rows("UPDATE broker.messages SET token = token + 1 WHERE execution_id = %s", claimed.execution_id)
        yield

    child.take_turn(attempted)
    # Then the result of that one alone is refused
    statuses = dict(rows("SELECT id::text, status FROM executions WHERE id = ANY(%s::uuid[])", ids))
    assert statuses[ids[5]] == "RUNNING"
    assert {statuses[each] for each in ids if each != ids[5]} <= {"COMPLETED", "PENDING"}
    assert [str(each) for (each,) in rows("SELECT execution_id FROM broker.messages WHERE state = 'leased'")] == [
        ids[5]
    ]


def test_nothing_is_taken_along_while_somebody_waits(
    client: FlaskClient, workbench: Workbench, child: Child, platform: Platform, rows: Rows
) -> None:
    function = registered_ready(client, workbench)
    batch(client, function, [0])
    child.drain()
    batch(client, function, list(range(50)))
    message = workbench.claim(Workbench.EXECUTE)
    assert message is not None
    # When somebody begins to wait while a background execution runs
    awaited = Submission(
        id=new_id(), function_id=UUID(function["id"]), input="1", correlation_id="c", waiter="somebody"
    )
    service.submit(platform, first_administrator.program(platform), awaited)
    first = Claimed(UUID(message["headers"]["id"]), Delivery.of(message["properties"]))
    child.take(first)
    # Then the child goes back at once, and what somebody waits for is the next
    assert rows("SELECT count(*) FROM executions WHERE status = 'PENDING'") == [(50,)]
    following = workbench.claim(Workbench.EXECUTE)
    assert following is not None
    assert following["headers"]["id"] == str(awaited.id)


def test_nothing_is_taken_along_while_something_older_is_more_urgent(
    client: FlaskClient, workbench: Workbench, child: Child, rows: Rows
) -> None:
    function = registered_ready(client, workbench)
    url = f"/functions/{function['id']}/execute-batch"
    client.post(url, json={"inputs": [0]})
    child.drain()
    client.post(url, json={"inputs": [1], "priority": "HIGH"})
    client.post(url, json={"inputs": [2] * 50})
    # The one that is more urgent was passed over, as one is for once that was starved.
    rows("UPDATE broker.messages SET ready_at = now() + interval '1 hour', state = 'delayed' WHERE priority = 8")
    message = workbench.claim(Workbench.EXECUTE)
    assert message is not None
    rows("UPDATE broker.messages SET ready_at = now(), state = 'ready' WHERE priority = 8")
    first = Claimed(UUID(message["headers"]["id"]), Delivery.of(message["properties"]))
    child.take(first)
    assert rows("SELECT count(*) FROM executions WHERE status = 'PENDING'") == [(50,)]


def test_what_takes_long_is_given_back_to_be_run_by_itself(
    client: FlaskClient, workbench: Workbench, child: Child, rows: Rows
) -> None:
    # Given quick executions, and one in their midst that would hold the others up
    echo = registered_ready(client, workbench)
    loop = registered_ready(client, workbench, "loop", LOOP)
    client.put(f"/functions/{loop['id']}", json={"limits": {"timeoutMs": 300}})
    for function in (echo, loop):
        batch(client, function, [0])
    child.drain()
    quick, long, after = (batch(client, function, [1, 2]) for function in (echo, loop, echo))
    # When a turn meets it
    child.take_turn()
    # Then those before it have ended, and it and those after it are as if nobody had begun with them
    found = rows(
        "SELECT id::text, status, attempts, started_at FROM executions WHERE id = ANY(%s::uuid[])", long + after
    )
    assert {row[1:] for row in found} == {("PENDING", 0, None)}
    ended = rows("SELECT status FROM executions WHERE id = ANY(%s::uuid[])", quick)
    assert ended == [("COMPLETED",)] * 2
    # And all of them come to their own end
    child.drain()
    found = rows("SELECT id::text, error_type, attempts FROM executions WHERE id = ANY(%s::uuid[])", long + after)
    assert sorted(found) == sorted([(each, "TIMEOUT", 1) for each in long] + [(each, None, 1) for each in after])


@pytest.mark.usefixtures("unhurried")
def test_what_was_delivered_before_runs_by_itself(
    client: FlaskClient, workbench: Workbench, child: Child, rows: Rows
) -> None:
    function = registered_ready(client, workbench)
    batch(client, function, [0])
    child.drain()
    ids = batch(client, function, [1, 2, 3])
    rows("UPDATE broker.messages SET deliveries = 1, losses = 1 WHERE execution_id = %s", ids[1])
    child.take_turn()
    statuses = rows("SELECT status FROM executions WHERE id = ANY(%s::uuid[]) ORDER BY id", ids)
    assert statuses == [("COMPLETED",), ("PENDING",), ("COMPLETED",)]


def test_an_end_that_cannot_be_written_spoils_no_other(
    client: FlaskClient, workbench: Workbench, child: Child, rows: Rows
) -> None:
    function = registered_ready(client, workbench)
    batch(client, function, [0])
    child.drain()
    batch(client, function, list(range(1, 11)))
    rows("ALTER TABLE executions ADD CONSTRAINT unlucky CHECK (output::text <> '7')")
    failed = []

    @contextmanager
    def attempted(claimed: Claimed) -> Iterator[None]:
        try:
            yield
        except Exception:  # noqa: BLE001 - whatever it was, the attempt has failed
            failed.append(claimed)

    while workbench.has_ready(Workbench.EXECUTE):
        child.take_turn(attempted)
    assert rows("SELECT input::text FROM executions WHERE status <> 'COMPLETED'") == [("7",)]
    assert len(failed) == 1


@pytest.mark.usefixtures("unhurried")
def test_what_was_cancelled_meanwhile_leaves_no_message(
    client: FlaskClient, workbench: Workbench, child: Child, rows: Rows
) -> None:
    function = registered_ready(client, workbench, source=ECHO)
    batch(client, function, [0])
    child.drain()
    ids = batch(client, function, [1, 2, 3])
    rows("UPDATE executions SET status = 'CANCELLED', completed_at = now() WHERE id = %s", ids[1])
    child.take_turn()
    assert rows("SELECT FROM broker.messages WHERE queue = 'execute'") == []
    assert rows("SELECT status FROM executions WHERE id = %s", ids[1]) == [("CANCELLED",)]


def test_what_is_less_urgent_is_taken_along_with_its_like(
    client: FlaskClient, workbench: Workbench, child: Child, rows: Rows
) -> None:
    function = registered_ready(client, workbench)
    url = f"/functions/{function['id']}/execute-batch"
    client.post(url, json={"inputs": [0]})
    child.drain()
    client.post(url, json={"inputs": [1] * 50, "priority": "LOW"})
    assert child.drain() < 50
    assert rows("SELECT status, count(*) FROM executions GROUP BY status") == [("COMPLETED", 51)]
