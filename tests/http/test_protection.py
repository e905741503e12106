"""What every answer tells browsers."""

import pytest
from flask.testing import FlaskClient

from tests.conftest import PASSWORD


@pytest.mark.parametrize(
    "path", ["/health", "/me", "/functions", "/nothing", "/docs/problems", "/openapi.json", "/docs"]
)
def test_answers_are_not_kept_nor_framed_nor_taken_for_something_else(client: FlaskClient, path: str) -> None:
    response = client.get(path)
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    policy = response.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; ")
    assert policy.endswith("frame-ancestors 'none'")


def test_only_files_may_be_kept(client: FlaskClient) -> None:
    with client.get("/static/swagger/start.js") as response:
        assert response.headers["Cache-Control"] == "no-cache"
        assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_so_do_answers_to_strangers(stranger: FlaskClient) -> None:
    for response in (
        stranger.get("/me"),
        stranger.post("/sessions", json={"email": "admin@localhost", "password": PASSWORD}),
    ):
        assert response.headers["Cache-Control"] == "no-store"
        assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]
