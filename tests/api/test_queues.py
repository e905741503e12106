"""What operators learn of queues."""

from collections.abc import Callable
from typing import Any

from flask.testing import FlaskClient

Rows = Callable[..., list[Any]]


def test_a_queue_is_listed_whatever_its_messages_hold(client: FlaskClient, rows: Rows) -> None:
    for payload in (r'{"headers": {"task": "a\u0000b"}}', r'{"headers": {"task": "t", "x": "\ud800"}}', "[]"):
        rows("INSERT INTO broker.messages (queue, payload) VALUES ('execute', %s)", payload)
    answer = client.get("/operations/queues/execute/messages")
    assert [message["task"] for message in answer.get_json()["items"]] == ["a\ufffdb", "t", None]
