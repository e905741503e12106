"""How many executions of a function, or of a user, may be under way: the others wait."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from flask.testing import FlaskClient
from kombu import Connection

from app.broker import Delivery
from app.broker.cursor import MOST_PASSED_OVER
from app.executions import queries, running
from app.executions.domain import Finish, Status
from app.executions.queries import Claimed
from app.platform import Platform
from app.queue import Queue
from app.settings import Settings
from tests.api.answers import assert_problem, registered_ready
from tests.limits.conftest import Limited, Rows
from tests.programs import TRAP
from tests.workbench import Workbench

ASYNC = {"Prefer": "respond-async"}
Beat = Callable[[], None]

THROUGH = "gated AND state IN ('ready', 'leased')"
HELD = "state = 'delayed' AND ready_at = 'infinity'"

#: Every time that more are under way than may be, somebody wrote so.
WITNESS = """
CREATE TABLE most (through integer);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO most SELECT count(*) FROM broker.messages WHERE gated AND state IN ('ready', 'leased');
    RETURN NULL;
END $$;
CREATE TRIGGER note AFTER INSERT OR UPDATE ON broker.messages FOR EACH STATEMENT EXECUTE FUNCTION note();
"""


@pytest.fixture
def beat(settings: Settings) -> Iterator[Callable[[], None]]:
    """What a worker does once a second."""
    options = {"on_expired": [queries.EXPIRED]}
    with Connection(settings.database_url, transport_options=options) as connection:
        channel: Any = connection.default_channel
        channel.connection.pump.consuming("execute")
        yield channel.connection.pump.beat


def submit(client: FlaskClient, url: str, count: int = 1, **body: Any) -> list[str]:
    """Have a function executed so often."""
    answers = [client.post(f"{url}/execute", json=body, headers=ASYNC) for _ in range(count)]
    assert {answer.status_code for answer in answers} == {202}, answers[-1].text
    return [answer.get_json()["id"] for answer in answers]


def limit(client: FlaskClient, url: str, **limits: int | None) -> None:
    """Give a function limits."""
    assert client.put(url, json={"limits": limits}).status_code == 200


def count(rows: Rows, condition: str) -> int:
    """How many messages there are of a kind."""
    ((found,),) = rows(f"SELECT count(*) FROM broker.messages WHERE {condition}")  # noqa: S608
    return int(found)


def test_no_more_of_a_function_are_under_way_than_may_be_and_none_is_refused(
    client: FlaskClient, url: str, workbench: Workbench, rows: Rows
) -> None:
    limit(client, url, concurrency=2)
    submit(client, url, 5)
    assert (count(rows, THROUGH), count(rows, HELD)) == (2, 3)
    for left in (3, 2, 1, 0, 0):
        message = workbench.claim(Queue.EXECUTE)
        assert message is not None
        workbench.work(message)
        assert count(rows, HELD) == max(0, left - 1)
    assert rows("SELECT status, count(*) FROM executions GROUP BY status") == [("COMPLETED", 5)]


def test_batches_and_replays_are_held_as_well(
    client: FlaskClient, url: str, workbench: Workbench, rows: Rows, beat: Callable[[], None]
) -> None:
    limit(client, url, concurrency=2)
    body = {"inputs": list(range(20))}
    assert client.post(f"{url}/execute-batch", json=body).status_code == 202
    assert (count(rows, THROUGH), count(rows, HELD)) == (2, 18)
    assert workbench.drain() == 20
    wanted = {"filter": {"status": "COMPLETED"}}
    assert client.post("/executions/replay", json=wanted).get_json() == {"count": 20}
    assert (count(rows, THROUGH), count(rows, HELD)) == (0, 20)
    beat()
    assert (count(rows, THROUGH), count(rows, HELD)) == (2, 18)
    assert workbench.drain() == 20


def test_no_more_of_a_user_are_under_way_whatever_they_execute(
    client: FlaskClient, limited: Limited, url: str, somebody: str, workbench: Workbench, rows: Rows
) -> None:
    other = f"/functions/{registered_ready(client, workbench, 'other')['id']}"
    mine, theirs = limited(user_concurrency=2), limited(somebody, user_concurrency=2)
    submit(mine, url, 3)
    submit(mine, other, 3)
    submit(theirs, url, 3)
    through = f"SELECT count(*) FROM broker.messages WHERE {THROUGH} GROUP BY lane"  # noqa: S608
    assert rows(through) == [(2,), (2,)]
    assert workbench.drain() == 9


def test_who_waits_for_a_function_does_not_keep_others_from_theirs(
    client: FlaskClient, limited: Limited, url: str, somebody: str, workbench: Workbench, rows: Rows
) -> None:
    limit(client, url, concurrency=3)
    mine, theirs = limited(user_concurrency=1), limited(somebody, user_concurrency=1)
    submit(mine, url, 4)
    submit(theirs, url, 4)
    # The function has three places, and each of the two users one.
    assert count(rows, THROUGH) == 2
    order = []
    while message := workbench.claim(Queue.EXECUTE):
        order += rows("SELECT lane FROM broker.messages WHERE state = 'leased'")
        workbench.work(message)
    # They take turns.
    assert len(order) == 8
    assert all(order[turn] != order[turn + 1] for turn in range(0, 8, 2))


def test_one_who_has_much_held_keeps_nobody_waiting(
    client: FlaskClient, limited: Limited, url: str, somebody: str, workbench: Workbench, rows: Rows
) -> None:
    limit(client, url, concurrency=1)
    submit(client, url, 20)
    lane = "SELECT lane FROM broker.messages WHERE state = 'leased'"
    order = []
    for turn in range(10):
        if turn in {2, 5}:
            submit(limited(somebody), url, 2)
        message = workbench.claim(Queue.EXECUTE)
        assert message is not None
        order += rows(lane)
        workbench.work(message)
    mine = order[0]
    theirs = [turn for turn, lane in enumerate(order) if lane != mine]
    # After the two that were next before they came they have every second place.
    assert theirs == [4, 6, 8]


def test_what_becomes_due_is_held_in_its_turn(
    client: FlaskClient, limited: Limited, url: str, somebody: str, workbench: Workbench, rows: Rows, beat: Beat
) -> None:
    limit(client, url, concurrency=1)
    submit(client, url, 20)
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    submit(limited(somebody), url, 1, notBefore=soon)
    rows("UPDATE broker.messages SET ready_at = now() WHERE state = 'delayed' AND ready_at <> 'infinity'")
    beat()
    for _ in range(3):
        message = workbench.claim(Queue.EXECUTE)
        assert message is not None
        workbench.work(message)
    ((caller, others),) = rows("SELECT count(DISTINCT caller_id), count(*) FROM executions WHERE status = 'COMPLETED'")
    assert (caller, others) == (2, 3)


def test_the_less_urgent_is_let_through_at_last(
    client: FlaskClient, limited: Limited, url: str, somebody: str, workbench: Workbench, rows: Rows
) -> None:
    limit(client, url, concurrency=1)
    client.post(f"{url}/execute-batch", json={"inputs": [1] * 40, "priority": "HIGH"})
    (patient,) = submit(limited(somebody), url, 1)
    done = 0
    while not rows("SELECT FROM executions WHERE id = %s AND status = 'COMPLETED'", patient):
        message = workbench.claim(Queue.EXECUTE)
        assert message is not None
        workbench.work(message)
        done += 1
    assert MOST_PASSED_OVER < done < MOST_PASSED_OVER + 4


def test_the_more_urgent_is_let_through_first(client: FlaskClient, url: str, workbench: Workbench, rows: Rows) -> None:
    limit(client, url, concurrency=1)
    submit(client, url, 1)
    for priority in ("LOW", "NORMAL", "HIGH"):
        submit(client, url, 1, priority=priority)
    workbench.drain()
    assert [priority for (priority,) in rows("SELECT priority FROM executions ORDER BY started_at")] == [
        "NORMAL",
        "HIGH",
        "NORMAL",
        "LOW",
    ]


def test_what_is_due_has_to_pass_too(
    client: FlaskClient, url: str, workbench: Workbench, rows: Rows, beat: Callable[[], None]
) -> None:
    limit(client, url, concurrency=1)
    soon = (datetime.now(UTC) + timedelta(seconds=0.5)).isoformat()
    submit(client, url, 3, notBefore=soon)
    assert (count(rows, THROUGH), count(rows, HELD)) == (0, 0)
    time.sleep(0.6)
    beat()
    beat()
    assert (count(rows, THROUGH), count(rows, HELD)) == (1, 2)
    assert workbench.drain() == 3


def test_a_retry_gives_up_its_place_while_it_waits(
    client: FlaskClient, workbench: Workbench, rows: Rows, beat: Callable[[], None]
) -> None:
    url = f"/functions/{registered_ready(client, workbench, 'trap', TRAP)['id']}"
    retry = {"attempts": 2, "backoffSeconds": 60}
    assert client.put(url, json={"limits": {"concurrency": 1}, "retry": retry}).status_code == 200
    submit(client, url, 2)
    assert workbench.drain() == 2
    # Both wait for their second attempts; then one of them is let through at a time.
    rows("UPDATE broker.messages SET ready_at = now()")
    beat()
    beat()
    assert (count(rows, THROUGH), count(rows, HELD)) == (1, 1)
    assert workbench.drain() == 2
    assert rows("SELECT status, attempts FROM executions") == [("FAILED", 2)] * 2


@pytest.mark.parametrize("how", ["cancelled", "dead", "deleted"])
def test_a_place_is_free_again_whatever_became_of_who_had_it(
    client: FlaskClient, url: str, rows: Rows, beat: Callable[[], None], how: str
) -> None:
    limit(client, url, concurrency=1)
    first, _ = submit(client, url, 2)
    if how == "cancelled":
        assert client.post(f"/executions/{first}/cancel").status_code == 200
    elif how == "dead":
        rows(
            "UPDATE broker.messages SET state = 'dead', dead_reason = 'rejected', died_at = now() "
            "WHERE execution_id = %s",
            first,
        )
    else:
        rows("DELETE FROM broker.messages WHERE execution_id = %s", first)
    beat()
    assert (count(rows, THROUGH), count(rows, HELD)) == (1, 0)


def test_what_is_held_may_be_cancelled_and_expires(
    client: FlaskClient, url: str, rows: Rows, beat: Callable[[], None]
) -> None:
    limit(client, url, concurrency=1)
    submit(client, url)
    (held,) = submit(client, url)
    assert client.post(f"/executions/{held}/cancel").get_json()["status"] == "CANCELLED"
    (old,) = submit(client, url, maxAgeSeconds=1)
    time.sleep(1.1)
    beat()
    beat()
    assert client.get(f"/executions/{old}").get_json()["errorType"] == "EXPIRED"
    assert count(rows, HELD) == 0


def test_a_limit_that_is_raised_or_taken_away_lets_others_through(
    client: FlaskClient, url: str, rows: Rows, beat: Callable[[], None]
) -> None:
    limit(client, url, concurrency=1)
    submit(client, url, 10)
    limit(client, url, concurrency=4)
    beat()
    assert (count(rows, THROUGH), count(rows, HELD)) == (4, 6)
    limit(client, url, concurrency=2)
    beat()
    assert (count(rows, THROUGH), count(rows, HELD)) == (4, 6)
    limit(client, url, concurrency=None)
    beat()
    assert (count(rows, THROUGH), count(rows, HELD)) == (10, 0)
    # What has no limit passes no gate.
    submit(client, url)
    assert count(rows, "NOT gated") == 1


def test_what_waits_when_the_first_limit_is_set_is_neither_held_nor_counted(
    client: FlaskClient, url: str, rows: Rows, beat: Callable[[], None]
) -> None:
    submit(client, url, 3)
    limit(client, url, concurrency=1)
    submit(client, url, 2)
    beat()
    assert (count(rows, "state = 'ready' AND NOT gated"), count(rows, THROUGH), count(rows, HELD)) == (3, 1, 1)


def test_what_waits_goes_by_the_number_for_users_with_which_it_was_submitted(
    limited: Limited, url: str, rows: Rows, beat: Callable[[], None]
) -> None:
    submit(limited(user_concurrency=1), url, 3)
    submit(limited(user_concurrency=0), url)
    beat()
    assert (count(rows, THROUGH), count(rows, HELD), count(rows, "NOT gated")) == (1, 2, 1)
    submit(limited(user_concurrency=2), url)
    rows("DELETE FROM broker.messages WHERE state = 'delayed' AND lane_places = 1")
    beat()
    assert (count(rows, THROUGH), count(rows, HELD)) == (2, 0)


def test_what_is_redriven_has_to_pass_too(client: FlaskClient, url: str, rows: Rows, beat: Callable[[], None]) -> None:
    limit(client, url, concurrency=1)
    submit(client, url, 3)
    rows("UPDATE broker.messages SET state = 'dead', dead_reason = 'rejected', died_at = now()")
    for (letter,) in rows("SELECT id FROM broker.messages"):
        assert client.post(f"/operations/dead-letters/{letter}/redrive").status_code in {200, 202, 204}
    beat()
    beat()
    assert count(rows, THROUGH) <= 1


def crowd(client: FlaskClient, url: str, platform: Platform, rows: Rows) -> int:
    """Four workers and four clients at a time; answers the most that were ever under way."""
    rows(WITNESS)
    app, each = client.application, 15

    def ask() -> None:
        mine = app.test_client()
        mine.environ_base.update(client.environ_base)
        submit(mine, url, each)

    done = threading.Event()

    def work() -> None:
        with Workbench(platform) as bench:
            while not done.is_set():
                message = bench.claim(Queue.EXECUTE)
                time.sleep(0.005)
                if message is not None:
                    execution_id = json.loads(message["body"])[1]["execution_id"]
                    claimed = Claimed(UUID(execution_id), Delivery.of(message["properties"]))
                    running.finish(platform, claimed, Finish(Status.COMPLETED, output="1"))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    workers = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads + workers:
        thread.start()
    for thread in threads:
        thread.join()
    for _ in range(600):
        if rows("SELECT count(*) FROM executions WHERE status = 'COMPLETED'") == [(4 * each,)]:
            break
        rows("SELECT broker.admit()")
        time.sleep(0.05)
    done.set()
    for worker in workers:
        worker.join()
    assert rows("SELECT status, count(*) FROM executions GROUP BY status") == [("COMPLETED", 4 * each)]
    ((most,),) = rows("SELECT max(through) FROM most")
    return int(most)


def test_however_many_come_and_end_at_once_there_are_never_too_many(
    client: FlaskClient, url: str, platform: Platform, rows: Rows
) -> None:
    limit(client, url, concurrency=3)
    assert crowd(client, url, platform, rows) == 3


def test_without_the_lock_there_are_too_many(
    client: FlaskClient, url: str, platform: Platform, rows: Rows, settings: Settings
) -> None:
    """Must fail: two count at the same time, and each lets one through."""
    with psycopg.connect(settings.database_url, autocommit=True) as connection:
        row = connection.execute("SELECT pg_get_functiondef('broker.admit()'::regprocedure)").fetchone()
        assert row is not None
        lock = "PERFORM pg_advisory_xact_lock(1802071150, 0);"
        assert lock in row[0]
        connection.execute(
            row[0].replace(lock, "").replace("RETURN through;", "PERFORM pg_sleep(0.02); RETURN through;")
        )
    limit(client, url, concurrency=3)
    assert crowd(client, url, platform, rows) > 3


def test_a_function_that_is_deleted_leaves_no_gate(client: FlaskClient, url: str, rows: Rows) -> None:
    limit(client, url, concurrency=1)
    assert rows("SELECT places FROM broker.gates") == [(1,)]
    submit(client, url, 2)
    assert client.delete(url).status_code == 204
    assert rows("SELECT FROM broker.gates") == rows("SELECT FROM broker.messages") == []
    assert_problem(client.get(url), "not_found")
