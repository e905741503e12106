"""What every API test asserts in the same way."""

from typing import Any
from uuid import UUID

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.http.problems import PROBLEMS
from tests.programs import ECHO
from tests.workbench import Workbench


def assert_problem(response: TestResponse, code: str) -> dict[str, Any]:
    """The response is this problem, whole and well-formed."""
    body: dict[str, Any] = response.get_json(force=True)
    assert response.content_type == "application/problem+json", body
    assert body["code"] == code, body
    status, title = PROBLEMS[code]
    assert (response.status_code, body["status"], body["title"]) == (status, status, title)
    assert body["detail"]
    assert body["type"] == f"/docs/problems#{code}"
    assert body["correlationId"] == response.headers["X-Correlation-Id"]
    assert "Traceback" not in response.text
    return body


def register(client: FlaskClient, name: str = "echo", source: str = ECHO, **members: Any) -> dict[str, Any]:
    """A function that was just registered."""
    sent = {"name": name, "language": "wat", "source": source} | members
    response = client.post("/functions", json=sent)
    assert response.status_code == 201, response.text
    body: dict[str, Any] = response.get_json()
    return body


def registered_ready(
    client: FlaskClient, workbench: Workbench, name: str = "echo", source: str = ECHO
) -> dict[str, Any]:
    """A function that is READY."""
    function_id = register(client, name, source)["id"]
    workbench.drain()
    body: dict[str, Any] = client.get(f"/functions/{function_id}").get_json()
    assert body["status"] == "READY", body
    return body


#: An id that nothing has.
ABSENT = UUID("01890000-0000-7000-8000-000000000000")
