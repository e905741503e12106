"""How often users, keys and functions may have something executed."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event
from werkzeug.test import TestResponse

from tests.accounts.world import World
from tests.api.answers import assert_problem, register, registered_ready
from tests.limits.conftest import Limited, Rows
from tests.workbench import Workbench

ASYNC = {"Prefer": "respond-async"}
Later = Callable[..., None]


def execute(client: FlaskClient, url: str, *, key: str | None = None) -> TestResponse:
    """Have a function executed, without waiting."""
    headers = ASYNC | ({} if key is None else {"Idempotency-Key": key})
    return client.post(f"{url}/execute", json={}, headers=headers)


def burst(client: FlaskClient, url: str, most: int = 50) -> int:
    """How many are accepted before one is refused."""
    for number in range(most):
        if execute(client, url).status_code != 202:
            return number
    return most


def limit(client: FlaskClient, url: str, **limits: int | None) -> None:
    """Give a function limits."""
    response = client.put(url, json={"limits": limits})
    assert response.status_code == 200, response.text


def test_a_user_who_asks_too_often_is_told_when_to_ask_again(
    limited: Limited, url: str, somebody: str, later: Later, rows: Rows
) -> None:
    client = limited(user_executions_per_minute=60)
    assert burst(client, url) == 10
    refused = execute(client, url)
    assert assert_problem(refused, "rate_limited")["scope"] == "USER"
    assert refused.headers["Retry-After"] == "1"
    assert refused.headers["RateLimit-Policy"] == '"user";q=60;w=60'
    assert refused.headers["RateLimit"].startswith('"user";r=0;t=')
    # Nothing was lost, nothing came of what was refused, and nobody else is kept from anything.
    assert rows("SELECT count(*) FROM executions") == rows("SELECT count(*) FROM broker.messages") == [(10,)]
    assert execute(limited(somebody, user_executions_per_minute=60), url).status_code == 202
    later(seconds=3)
    assert burst(client, url) == 3


def test_what_is_left_is_told_with_every_answer(limited: Limited, url: str) -> None:
    client = limited(user_executions_per_minute=60)
    left = [execute(client, url).headers["RateLimit"].partition(";t=")[0] for _ in range(3)]
    assert left == ['"user";r=9', '"user";r=8', '"user";r=7']
    batch = client.post(f"{url}/execute-batch", json={"inputs": [1, 2, 3]})
    assert batch.headers["RateLimit"].startswith('"user";r=4;')


def test_a_refusal_tells_of_one_rate_and_some_answers_of_none(
    limited: Limited, client: FlaskClient, workbench: Workbench, url: str, rows: Rows
) -> None:
    rated = limited(user_executions_per_minute=60)
    limit(client, url, executionsPerMinute=6)
    first = execute(rated, url, key="once")
    assert set(first.headers["RateLimit-Policy"].split(", ")) == {'"user";q=60;w=60', '"function";q=6;w=60'}
    assert "RateLimit" not in execute(rated, url, key="once").headers
    assert execute(rated, url).headers["RateLimit-Policy"] == '"function";q=6;w=60'
    workbench.drain()
    rows("DELETE FROM throttles")
    replayed = rated.post("/executions/replay", json={"filter": {"status": "COMPLETED"}})
    assert (replayed.get_json(), "RateLimit" in replayed.headers) == ({"count": 1}, False)


def test_who_has_no_limit_is_told_of_none(client: FlaskClient, url: str) -> None:
    assert not [name for name, _ in execute(client, url).headers.to_wsgi_list() if name.startswith("RateLimit")]


def test_keys_are_limited_apart_and_make_none_that_is_limited_less(
    client: FlaskClient, limited: Limited, url: str
) -> None:
    slow = client.post("/api-keys", json={"name": "slow", "executionsPerMinute": 12}).get_json()
    assert slow["executionsPerMinute"] == 12
    assert burst(limited(slow["key"]), url) == 2
    assert_problem(execute(limited(slow["key"]), url), "rate_limited")
    made = limited(slow["key"]).post("/api-keys", json={"name": "of it", "executionsPerMinute": 600}).get_json()
    assert made["executionsPerMinute"] == 12
    assert execute(client, url).status_code == 202
    # One that says nothing has what is set for all.
    plain = client.post("/api-keys", json={"name": "plain"}).get_json()
    assert burst(limited(plain["key"], key_executions_per_minute=18), url) == 3


def test_a_key_makes_none_that_has_more_executed_than_what_is_set_lets_it(
    client: FlaskClient, limited: Limited, url: str
) -> None:
    plain = client.post("/api-keys", json={"name": "plain"}).get_json()
    maker = limited(plain["key"], key_executions_per_minute=18)
    faster = maker.post("/api-keys", json={"name": "faster", "executionsPerMinute": 1_000_000}).get_json()
    assert faster["executionsPerMinute"] == 18
    assert burst(limited(faster["key"], key_executions_per_minute=18), url) == 3
    slower = maker.post("/api-keys", json={"name": "slower", "executionsPerMinute": 6}).get_json()
    assert slower["executionsPerMinute"] == 6
    # What is set holds for one that says nothing, also when it is set anew.
    same = maker.post("/api-keys", json={"name": "same"}).get_json()
    assert same["executionsPerMinute"] is None
    # One with a rate of its own goes by that.
    own = client.post("/api-keys", json={"name": "own", "executionsPerMinute": 60}).get_json()
    made = limited(own["key"], key_executions_per_minute=18).post(
        "/api-keys", json={"name": "made", "executionsPerMinute": 50}
    )
    assert made.get_json()["executionsPerMinute"] == 50


@pytest.mark.parametrize("default", [0, 18])
def test_a_key_renews_none_that_may_have_more_executed(
    limited: Limited, template: tuple[str, str], default: int
) -> None:
    root = limited(template[1], key_executions_per_minute=default)
    rates: list[dict[str, int]] = [{"executionsPerMinute": rate} for rate in (12, 6, 17)]
    slow, slower, fast, plain = (
        root.post("/api-keys", json={"name": "one"} | rate).get_json() for rate in [*rates, {}]
    )
    asker = limited(slow["key"], key_executions_per_minute=default)
    for other in (fast, plain):
        assert_problem(asker.post(f"/api-keys/{other['id']}/rotate", json={}), "forbidden")
        assert limited(other["key"]).get("/me").status_code == 200
    for other in (slower, slow):
        assert asker.post(f"/api-keys/{other['id']}/rotate", json={}).status_code == 200


def test_a_session_makes_and_renews_keys_with_any_rate(world: World, limited: Limited) -> None:
    browser = world.by_session("browser", world.user())
    wanted = {"name": "fast", "executionsPerMinute": 1_000_000}
    made = browser.ask("POST", "/api-keys", json=wanted).get_json()
    assert made["executionsPerMinute"] == 1_000_000
    assert browser.ask("POST", f"/api-keys/{made['id']}/rotate", json={}).status_code == 200


def test_a_functions_rate_holds_for_all_its_callers_and_no_other_function(
    client: FlaskClient, limited: Limited, somebody: str, workbench: Workbench, url: str, later: Later
) -> None:
    other = f"/functions/{registered_ready(client, workbench, 'other')['id']}"
    limit(client, url, executionsPerMinute=18)
    assert client.get(url).get_json()["limits"]["executionsPerMinute"] == 18
    assert burst(client, url) == 3
    answer = assert_problem(execute(limited(somebody), url), "rate_limited")
    assert (answer["scope"], answer["limit"]) == ("FUNCTION", 18)
    assert execute(client, other).status_code == 202
    later(minutes=1)
    assert burst(client, url) == 3
    limit(client, url, executionsPerMinute=None)
    assert "executionsPerMinute" not in client.get(url).get_json()["limits"]
    assert burst(client, url, 20) == 20


def test_who_finds_no_turn_of_a_rate_that_is_then_taken_away_is_told_to_ask_again(
    client: FlaskClient, url: str, rows: Rows
) -> None:
    limit(client, url, executionsPerMinute=6)
    assert burst(client, url) == 1

    def take_away(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        if "is_refused" in statement:
            rows("UPDATE functions SET executions_per_minute = NULL")

    event.listen(client.application.extensions["kiln"].database.engine, "after_cursor_execute", take_away)
    refused = execute(client, url)
    assert_problem(refused, "rate_limited")
    assert refused.headers["Retry-After"] == "1"
    assert execute(client, url).status_code == 202


def test_a_rate_that_is_changed_begins_anew(client: FlaskClient, url: str) -> None:
    limit(client, url, executionsPerMinute=1)
    assert client.post(f"{url}/execute-batch", json={"inputs": [1] * 500}).status_code == 202
    assert_problem(execute(client, url), "rate_limited")
    limit(client, url, executionsPerMinute=1, concurrency=3)
    assert_problem(execute(client, url), "rate_limited")
    limit(client, url, executionsPerMinute=60)
    assert burst(client, url) == 10


def test_where_one_of_several_rates_has_nothing_left_none_loses_a_turn(
    limited: Limited, client: FlaskClient, url: str, rows: Rows
) -> None:
    limit(client, url, executionsPerMinute=6)
    both = limited(user_executions_per_minute=600)
    assert burst(both, url) == 1
    before = rows("SELECT name, due_at FROM throttles ORDER BY name")
    assert_problem(execute(both, url), "rate_limited")
    assert rows("SELECT name, due_at FROM throttles ORDER BY name") == before


def test_a_batch_takes_a_turn_for_each_and_one_that_is_larger_than_the_burst_all_of_it(
    limited: Limited, url: str, later: Later
) -> None:
    client = limited(user_executions_per_minute=60)

    def batch(size: int) -> TestResponse:
        return client.post(f"{url}/execute-batch", json={"inputs": list(range(size))})

    assert batch(8).status_code == 202
    assert_problem(batch(3), "rate_limited")
    assert batch(2).status_code == 202
    # A larger one waits for the whole burst, and is paid for afterwards.
    refused = batch(40)
    assert_problem(refused, "rate_limited")
    assert int(refused.headers["Retry-After"]) in {9, 10}
    later(seconds=10)
    assert batch(40).status_code == 202
    assert int(execute(client, url).headers["Retry-After"]) in {30, 31}


def test_replays_take_turns(limited: Limited, client: FlaskClient, workbench: Workbench, url: str, rows: Rows) -> None:
    for _ in range(12):
        execute(client, url)
    workbench.drain()
    rated = limited(user_executions_per_minute=60)
    (first,) = rows("SELECT id FROM executions LIMIT 1")
    assert rated.post(f"/executions/{first[0]}/replay", json={}, headers=ASYNC).status_code == 202
    assert_problem(rated.post("/executions/replay", json={"filter": {"status": "COMPLETED"}}), "rate_limited")
    done = rated.post("/executions/replay", json={"filter": {"status": "COMPLETED"}, "limit": 9})
    assert (done.status_code, done.get_json()) == (202, {"count": 9})
    assert_problem(execute(rated, url), "rate_limited")
    # A function's own rate is kept as well.
    rows("DELETE FROM throttles")
    limit(client, url, executionsPerMinute=6)
    one = {"filter": {"status": "COMPLETED"}, "limit": 1}
    assert client.post("/executions/replay", json=one).status_code == 202
    answer = assert_problem(client.post("/executions/replay", json=one), "rate_limited")
    assert answer["scope"] == "FUNCTION"


def test_what_replays_leave_out_takes_no_turn(
    limited: Limited, client: FlaskClient, workbench: Workbench, url: str, rows: Rows
) -> None:
    rated = limited(user_executions_per_minute=60)
    everything = {"filter": {"status": "COMPLETED"}}
    for _ in range(2):
        nothing = rated.post("/executions/replay", json=everything)
        assert (nothing.status_code, nothing.get_json()) == (202, {"count": 0})
        for _ in range(12):
            execute(client, url)
        workbench.drain()
        rows("UPDATE versions SET retired_at = now()")
    assert rows("SELECT FROM throttles") == []


def test_a_request_that_is_sent_again_takes_no_turn(limited: Limited, url: str, rows: Rows) -> None:
    client = limited(user_executions_per_minute=60)
    ids = {execute(client, url, key="once").get_json()["id"] for _ in range(20)}
    assert len(ids) == 1
    other = client.post(f"{url}/execute", json={"input": 1}, headers=ASYNC | {"Idempotency-Key": "once"})
    assert_problem(other, "idempotency_mismatch")
    assert burst(client, url) == 9


def test_redriving_ends_where_no_turn_is_left_and_says_how_many_were_redriven(
    limited: Limited, client: FlaskClient, url: str, later: Later, rows: Rows
) -> None:
    # Given three executions that were lost, and turns for two
    for _ in range(3):
        execute(client, url)
    rows("UPDATE broker.messages SET state = 'dead', dead_reason = 'worker_lost', died_at = now()")
    rows("UPDATE executions SET status = 'FAILED', error_type = 'WORKER_LOST', completed_at = now()")
    rated, redrive = limited(user_executions_per_minute=12), "/operations/dead-letters/redrive"
    # When they are redriven
    answer = rated.post(redrive, json={"filter": {}})
    # Then the answer says how many there were, and when there are turns for more
    assert (answer.status_code, answer.get_json()) == (202, {"count": 2})
    assert int(answer.headers["Retry-After"]) in {5, 6}
    assert rows("SELECT count(*) FROM broker.messages WHERE state = 'dead'") == [(1,)]
    answer = rated.post(redrive, json={"filter": {}})
    assert (answer.status_code, answer.get_json(), "Retry-After" in answer.headers) == (202, {"count": 0}, True)
    # And one of them is refused as executions are
    ((letter_id,),) = rows("SELECT id FROM broker.messages WHERE state = 'dead'")
    assert_problem(rated.post(f"/operations/dead-letters/{letter_id}/redrive"), "rate_limited")
    later(seconds=6)
    answer = rated.post(redrive, json={"filter": {}})
    assert (answer.get_json(), "Retry-After" in answer.headers) == ({"count": 1}, False)


def test_a_request_that_is_sent_again_is_answered_though_no_turn_is_left(limited: Limited, url: str) -> None:
    client = limited(user_executions_per_minute=6)
    first = execute(client, url, key="once")
    assert first.status_code == 202
    again = execute(client, url, key="once")
    assert (again.status_code, again.get_json()["id"]) == (202, first.get_json()["id"])
    assert_problem(execute(client, url, key="another"), "rate_limited")


def test_what_cannot_be_executed_takes_no_turn(limited: Limited, client: FlaskClient, url: str) -> None:
    rated = limited(user_executions_per_minute=60)
    waiting = f"/functions/{register(client, 'not-built-yet')['id']}"
    for _ in range(12):
        assert_problem(execute(rated, waiting), "function_not_ready")
        assert_problem(rated.post(f"{url}/execute", json={"version": 7}), "unknown_reference")
    assert burst(rated, url) == 10


@pytest.mark.parametrize("name", ["executionsPerMinute", "concurrency"])
@pytest.mark.parametrize("value", [0, -1, 10_000_000, 1.5, "many"])
def test_a_limit_that_makes_no_sense_is_refused(client: FlaskClient, url: str, name: str, value: Any) -> None:
    assert_problem(client.put(url, json={"limits": {name: value}}), "validation_error")


class Reference:
    """The generic cell rate algorithm as its papers have it: one number, the theoretical arrival time."""

    def __init__(self, every: float, burst: int) -> None:
        self.now, self.due, self.every, self.burst = 0.0, 0.0, every, burst

    def take(self, count: int) -> bool:
        """Whether so many are admitted now."""
        due = max(self.due, self.now)
        if due + min(count, self.burst) * self.every > self.now + self.burst * self.every + 1e-9:
            return False
        self.due = due + count * self.every
        return True


def test_turns_are_those_of_the_algorithm(limited: Limited, url: str, later: Later, rows: Rows) -> None:
    # The clock is moved by hand: so slow a rate that the test's own time does not matter.
    client = limited(user_executions_per_minute=1)
    rows("INSERT INTO throttles SELECT 'unrelated', now()")

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.tuples(st.sampled_from([0, 0, 20, 61, 130, 300]), st.integers(1, 3)), max_size=8))
    def check(steps: list[tuple[int, int]]) -> None:
        rows("DELETE FROM throttles")
        reference = Reference(60.0, 1)
        for seconds, count in steps:
            later(seconds=seconds)
            reference.now += seconds
            body = {"inputs": list(range(count))}
            accepted = client.post(f"{url}/execute-batch", json=body).status_code == 202
            assert accepted == reference.take(count), (seconds, count, reference.now, reference.due)

    check()


def test_fifty_at_once_are_admitted_as_often_as_one_after_the_other(limited: Limited, url: str, rows: Rows) -> None:
    client = limited(user_executions_per_minute=120)
    app = client.application
    answers: list[int] = []
    start = threading.Barrier(50)

    def ask() -> None:
        mine = app.test_client()
        mine.environ_base.update(client.environ_base)
        start.wait()
        answers.append(execute(mine, url).status_code)

    threads = [threading.Thread(target=ask) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ((admitted, seconds),) = rows(
        "SELECT count(*), extract(epoch FROM max(created_at) - min(created_at)) FROM executions"
    )
    assert answers.count(202) == admitted
    assert set(answers) == {202, 429}
    assert 20 <= admitted <= 20 + 2 * float(seconds) + 1
