"""Whatever is wrong with a request, the answer is a problem that says so."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.accounts.tokens import new_key
from app.factory import create_app
from app.settings import Settings
from tests.api.answers import assert_problem
from tests.conftest import with_key


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"x"',
        b"{} x",
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":1,"a":2}',
        b'{"a":{"b":1,"b":2}}',
        b'{"a":"\xff"}',
        b'{"a":' + b"[" * 33 + b"]" * 33 + b"}",
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a":' + b"1" * 10_000 + b"}",
        b"{'a':1}",
        b'{"a":1,}',
        b'\xef\xbb\xbf{"a":1}',
        b'{"a":"\n"}',
    ],
)
def test_what_is_not_json_is_malformed(client: FlaskClient, body: bytes) -> None:
    assert_problem(client.post("/functions", data=body, content_type="application/json"), "malformed_json")


@pytest.mark.parametrize(
    "content_type", [None, "text/plain", "application/xml", "application/json; charset=utf-16", "x"]
)
def test_another_content_type_is_refused(client: FlaskClient, content_type: str | None) -> None:
    assert_problem(client.post("/functions", data=b"{}", content_type=content_type), "unsupported_media_type")


JSON = {"Content-Type": "application/json"}
Rows = Callable[..., list[Any]]


def test_a_lone_surrogate_is_refused(client: FlaskClient) -> None:
    body = b'{"name":"a","language":"wat","source":"\\ud800"}'
    assert_problem(client.post("/functions", data=body, content_type="application/json"), "validation_error")


def test_an_unknown_route_is_not_found(client: FlaskClient) -> None:
    for path in ("/nope", "/functions/x/y/z", "/consoles", "/functions//execute"):
        assert_problem(client.get(path), "not_found")


def test_a_malformed_id_is_not_found_whatever_the_method(client: FlaskClient) -> None:
    for method in ("GET", "PUT", "DELETE", "POST"):
        assert_problem(client.open("/functions/x", method=method, json={}), "not_found")


def test_the_addresses_that_people_click_lead_somewhere(client: FlaskClient) -> None:
    assert client.get("/").headers["Location"] == "/console/"
    type_ = client.get("/nope").get_json()["type"]
    assert 'id="not_found"' in client.get(type_.partition("#")[0]).get_data(as_text=True)


def test_a_wrong_method_names_the_right_ones(client: FlaskClient) -> None:
    for path, method, allowed in (
        ("/functions", "DELETE", {"GET", "POST", "HEAD", "OPTIONS"}),
        ("/functions/01890000-0000-7000-8000-000000000000", "POST", {"GET", "PUT", "DELETE", "HEAD", "OPTIONS"}),
        ("/health", "POST", {"GET", "HEAD", "OPTIONS"}),
    ):
        response = client.open(path, method=method)
        assert_problem(response, "method_not_allowed")
        assert {word.strip() for word in response.headers["Allow"].split(",")} == allowed


def test_a_body_over_the_limit_is_too_large(client: FlaskClient, app: Flask) -> None:
    body = b" " * (app.config["MAX_CONTENT_LENGTH"] + 1)
    assert_problem(client.post("/functions", data=body, content_type="application/json"), "too_large")


def test_the_callers_correlation_id_is_returned(client: FlaskClient) -> None:
    assert client.get("/health", headers={"X-Correlation-Id": "abc-1"}).headers["X-Correlation-Id"] == "abc-1"


@pytest.mark.parametrize("sent", ["a b", "é", "x" * 129, ""])
def test_a_correlation_id_that_could_forge_a_log_line_is_replaced(client: FlaskClient, sent: str) -> None:
    answered = client.get("/health", headers={"X-Correlation-Id": sent}).headers["X-Correlation-Id"]
    assert len(answered) == 36


def test_a_database_that_is_away_is_unavailable_and_nothing_was_accepted(settings: Settings) -> None:
    app = create_app(replace(settings, database_url="postgresql://nobody@/none?host=/nonexistent"))
    away = with_key(app, new_key())
    response = away.get("/functions")
    assert_problem(response, "unavailable")
    assert int(response.headers["Retry-After"]) > 0
    assert away.get("/livez").status_code == 200
    readiness = away.get("/readyz")
    assert readiness.status_code == 503
    assert "database" in readiness.get_json()["reasons"][0]


def test_a_body_with_very_many_names_is_refused_at_once(client: FlaskClient) -> None:
    # A quadratic search would take hours.
    names = ",".join(f'"name{number}":0' for number in range(200_000))
    problem = assert_problem(
        client.post("/functions", data=f'{{{names},"last":1,"last":1}}', headers=JSON), "malformed_json"
    )
    assert "'last'" in problem["detail"]
    problem = assert_problem(client.post("/functions", data=f"{{{names}}}", headers=JSON), "validation_error")
    assert len(problem["errors"]) == 100


def test_strangers_have_little_to_say(stranger: FlaskClient) -> None:
    body = b'{"email":"somebody@example.org","password":"' + b"x" * 20_000 + b'"}'
    assert_problem(stranger.post("/sessions", data=body, headers=JSON), "too_large")


def test_half_of_a_surrogate_pair_as_a_name_is_refused(stranger: FlaskClient, client: FlaskClient) -> None:
    assert_problem(stranger.post("/sessions", data=b'{"\\ud800":1}', headers=JSON), "validation_error")
    assert_problem(client.post("/functions", data=b'{"limits":{"\\ud800":1}}', headers=JSON), "validation_error")


def test_a_refusal_at_an_address_with_nul_is_written(stranger: FlaskClient, rows: Rows) -> None:
    assert_problem(stranger.post("/flower/%00"), "unauthenticated")
    assert stranger.post("/console/account/identities/%00/link").status_code == 401
    assert rows("SELECT count(*) > 0 FROM audit_events WHERE outcome = 'REFUSED'") == [(True,)]
