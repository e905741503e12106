"""What operators learn of workers, now and later."""

from collections.abc import Callable
from typing import Any

from flask.testing import FlaskClient

Rows = Callable[..., list[Any]]

HEARTBEAT = '{"type": "worker-heartbeat", "active": 1, "processed": 7, "pid": 42, "sw_ver": "5.7.0"}'


def test_a_worker_is_known_by_its_presence_and_its_heartbeat(client: FlaskClient, rows: Rows) -> None:
    rows("INSERT INTO broker.consumers (name, node, queues) VALUES ('here:1:a', 'execute@here', '{execute}')")
    rows("INSERT INTO broker.consumers (name, node, queues) VALUES ('here:2:b', 'execute@here', '{execute,extra}')")
    for worker in ("execute@here", "compile@gone"):
        rows("INSERT INTO broker.events (type, worker, event) VALUES ('worker-heartbeat', %s, %s)", worker, HEARTBEAT)
    gone, here = client.get("/operations/workers").get_json()["items"]
    assert (here["name"], here["online"], here["processed"]) == ("execute@here", True, 7)
    assert here["queues"] == ["execute", "extra"]
    assert (gone["name"], gone["online"], gone["queues"]) == ("compile@gone", False, [])


def test_events_are_found_by_what_they_are_and_whose(client: FlaskClient, rows: Rows) -> None:
    for kind, task in (
        ("task-received", "a"),
        ("task-succeeded", "a"),
        ("task-received", "b"),
        ("worker-online", None),
    ):
        rows("INSERT INTO broker.events (type, worker, task_id, event) VALUES (%s, 'w', %s, '{\"n\": 1}')", kind, task)

    def found(query: str) -> list[str]:
        answer = client.get(f"/operations/events?{query}").get_json()
        assert "items" in answer, answer
        return [event["type"] for event in answer["items"]]

    assert found("") == ["worker-online", "task-received", "task-succeeded", "task-received"]
    assert found("taskId=a") == ["task-succeeded", "task-received"]
    assert found("type=task-*&worker=w") == ["task-received", "task-succeeded", "task-received"]
    assert found("type=worker-online") == ["worker-online"]
    assert found("to=2020-01-01T00:00:00Z") == []
    page = client.get("/operations/events?limit=3").get_json()
    assert page["items"][0]["event"] == {"n": 1}
    assert len(client.get(f"/operations/events?cursor={page['nextCursor']}").get_json()["items"]) == 1
