"""`GET /limits`."""

import threading
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import event

from tests.api.answers import ABSENT, assert_problem
from tests.limits.conftest import Limited

ASYNC = {"Prefer": "respond-async"}


def limits(client: FlaskClient, query: str = "") -> dict[tuple[str, str], tuple[Any, Any]]:
    """Value and what is used, by scope and name."""
    items = client.get(f"/limits{query}").get_json()["items"]
    return {(item["scope"], item["name"]): (item["value"], item["used"]) for item in items}


def test_what_applies_and_what_is_used(limited: Limited, client: FlaskClient, url: str) -> None:
    key = client.post("/api-keys", json={"name": "mine", "executionsPerMinute": 120}).get_json()["key"]
    mine = limited(key, user_executions_per_minute=600, user_concurrency=2, user_queue=50, queue=99)
    for _ in range(3):
        assert mine.post(f"{url}/execute", json={}, headers=ASYNC).status_code == 202
    found = limits(mine)
    assert found["USER", "executionsPerMinute"] == (600, 3)
    assert found["KEY", "executionsPerMinute"] == (120, 3)
    assert found["USER", "concurrency"] == (2, 2)
    assert found["USER", "queued"] == (50, 3)
    assert found["INSTALLATION", "queued"] == (99, 3)
    assert found["INSTALLATION", "inputBytes"] == (1 << 20, None)


def test_those_of_a_function(client: FlaskClient, url: str) -> None:
    client.put(url, json={"limits": {"executionsPerMinute": 60, "concurrency": 1}})
    for _ in range(2):
        assert client.post(f"{url}/execute", json={}, headers=ASYNC).status_code == 202
    found = limits(client, f"?functionId={url.rpartition('/')[2]}")
    assert found["FUNCTION", "executionsPerMinute"] == (60, 2)
    assert found["FUNCTION", "concurrency"] == (1, 1)
    assert found["FUNCTION", "timeoutMs"] == (3000, None)
    assert found["USER", "executionsPerMinute"] == (None, None)


def test_a_function_that_is_not_there_has_none(client: FlaskClient) -> None:
    assert_problem(client.get(f"/limits?functionId={ABSENT}"), "not_found")


def test_however_many_ask_at_once_what_waits_is_counted_once(
    limited: Limited, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.counting.GOOD_SECONDS", 60)
    client = limited(user_queue=50)
    app, counted = client.application, []

    def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        if "AS waiting" in statement:
            counted.append("lane" if "lane =" in statement else "all")

    event.listen(app.extensions["kiln"].database.engine, "before_cursor_execute", note)
    used: list[Any] = []
    start = threading.Barrier(20)

    def ask() -> None:
        mine = app.test_client()
        mine.environ_base.update(client.environ_base)
        start.wait()
        used.append(limits(mine)["USER", "queued"])

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert used == [(50, 0)] * 20
    assert sorted(counted) == ["all", "lane"]
    # Whoever submits goes by the same count, and whoever asks sees what was submitted.
    assert client.post(f"{url}/execute", json={}, headers=ASYNC).status_code == 202
    assert limits(client)["USER", "queued"] == (50, 1)
