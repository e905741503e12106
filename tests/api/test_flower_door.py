"""The door to Flower, where no Flower runs."""

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.api.answers import assert_problem


@pytest.mark.parametrize(
    "path", ["/flower", "/flower/", "/flower/api/workers?refresh=1", "/flower/worker/execute%40here"]
)
def test_without_flower_its_pages_are_not_available(client: FlaskClient, path: str) -> None:
    body = assert_problem(client.get(path), "unavailable")
    assert body["detail"] == "Flower does not run beside this process."


def test_a_body_has_the_limit_of_all_others(app: Flask, client: FlaskClient) -> None:
    body = b" " * (app.config["MAX_CONTENT_LENGTH"] + 1)
    assert_problem(client.post("/flower/api/task/apply/executions.run", data=body), "too_large")


def test_it_is_no_part_of_the_api(client: FlaskClient) -> None:
    assert not [path for path in client.get("/openapi.json").get_json()["paths"] if "flower" in path]
    assert_problem(client.put("/flower/tasks"), "method_not_allowed")
