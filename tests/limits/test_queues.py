"""How much may wait."""

from datetime import UTC, datetime, timedelta

from flask.testing import FlaskClient

from tests.api.answers import assert_problem
from tests.limits.conftest import Limited, Rows
from tests.workbench import Workbench

ASYNC = {"Prefer": "respond-async"}


def test_a_queue_that_is_full_takes_no_more_of_its_user_and_all_of_others(
    limited: Limited, url: str, somebody: str, workbench: Workbench, rows: Rows
) -> None:
    client = limited(user_queue=5)
    for _ in range(5):
        assert client.post(f"{url}/execute", json={}, headers=ASYNC).status_code == 202
    refused = client.post(f"{url}/execute", json={}, headers=ASYNC)
    answer = assert_problem(refused, "quota_exceeded")
    assert (answer["which"], answer["limit"], answer["used"]) == ("queued", 5, 5)
    assert refused.headers["Retry-After"] == "5"
    assert limited(somebody, user_queue=5).post(f"{url}/execute", json={}, headers=ASYNC).status_code == 202
    assert rows("SELECT count(*) FROM executions") == [(6,)]
    workbench.drain()
    assert client.post(f"{url}/execute", json={}, headers=ASYNC).status_code == 202


def test_whoever_executes_one_after_the_other_is_never_refused(
    limited: Limited, url: str, workbench: Workbench
) -> None:
    client = limited(user_queue=2, queue=2)
    workbench.start()
    for _ in range(12):
        assert client.post(f"{url}/execute", json={}).status_code == 200


def test_batches_replays_and_what_is_scheduled_count(
    limited: Limited, client: FlaskClient, url: str, workbench: Workbench
) -> None:
    client.post(f"{url}/execute-batch", json={"inputs": [1, 2, 3]})
    workbench.drain()
    small = limited(user_queue=4)
    assert_problem(small.post(f"{url}/execute-batch", json={"inputs": [1, 2, 3, 4, 5]}), "quota_exceeded")
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    body = {"inputs": [1, 2], "notBefore": tomorrow}
    assert small.post(f"{url}/execute-batch", json=body).status_code == 202
    assert_problem(small.post("/executions/replay", json={"filter": {"status": "COMPLETED"}}), "quota_exceeded")
    assert small.post("/executions/replay", json={"filter": {"status": "COMPLETED"}, "limit": 2}).status_code == 202
    assert_problem(small.post(f"{url}/execute", json={}), "quota_exceeded")


def test_what_was_accepted_is_answered_again_though_the_queue_is_full(
    limited: Limited, client: FlaskClient, url: str
) -> None:
    body, headers = {"inputs": [1, 2, 3]}, {"Idempotency-Key": "once"}
    accepted = [
        limited(**full).post(f"{url}/execute-batch", json=body, headers=headers)
        for full in ({"user_queue": 3}, {"queue": 3})
    ]
    assert [answer.status_code for answer in accepted] == [202, 202]
    assert accepted[0].get_json() == accepted[1].get_json()


def test_redriving_ends_where_the_queue_is_full(limited: Limited, client: FlaskClient, url: str, rows: Rows) -> None:
    client.post(f"{url}/execute-batch", json={"inputs": [1, 2, 3]})
    rows("UPDATE broker.messages SET state = 'dead', dead_reason = 'worker_lost', died_at = now()")
    rows("UPDATE executions SET status = 'FAILED', error_type = 'WORKER_LOST', completed_at = now()")
    for full in ({"user_queue": 2}, {"queue": 2}):
        answer = limited(**full).post("/operations/dead-letters/redrive", json={"filter": {}})
        assert (answer.status_code, answer.headers["Retry-After"]) == (202, "5")
    assert rows("SELECT state, count(*) FROM broker.messages GROUP BY state ORDER BY state") == [
        ("dead", 1),
        ("ready", 2),
    ]


def test_where_too_much_waits_of_all_nobody_is_served(limited: Limited, url: str, somebody: str, rows: Rows) -> None:
    client = limited(queue=3)
    for _ in range(3):
        assert client.post(f"{url}/execute", json={}, headers=ASYNC).status_code == 202
    refused = limited(somebody, queue=3).post(f"{url}/execute", json={}, headers=ASYNC)
    assert_problem(refused, "overloaded")
    assert refused.headers["Retry-After"] == "5"
    assert rows("SELECT count(*) FROM executions") == [(3,)]
