"""What browsers may ask for on behalf of which page, and by which name."""

from dataclasses import replace

import pytest
from flask.testing import FlaskClient

from app.factory import create_app
from app.settings import Settings
from tests.api.answers import assert_problem

ADDRESSES = ["/flower/api/worker/shutdown/execute@here", "/functions", "/functions/x/execute"]


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://elsewhere.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:81", "Sec-Fetch-Site": "same-origin"},
    ],
)
def test_another_sites_page_may_change_nothing(client: FlaskClient, address: str, headers: dict[str, str]) -> None:
    assert_problem(client.post(address, headers=headers), "csrf_failed")


@pytest.mark.parametrize("headers", [{}, {"Origin": "http://localhost"}, {"Sec-Fetch-Site": "none"}])
def test_our_own_pages_and_programs_may(client: FlaskClient, headers: dict[str, str]) -> None:
    assert_problem(client.post(ADDRESSES[0], headers=headers), "unavailable")


@pytest.mark.parametrize("address", ["/functions", "/livez", "/flower/"])
def test_a_name_that_was_made_to_lead_here_is_not_answered(client: FlaskClient, address: str) -> None:
    for host in ("evil.example", "evil.example:80", "localhost.evil.example", "127.0.0.1.evil.example:8000"):
        assert_problem(client.get(address, headers={"Host": host}), "misdirected_request")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "localhost.", "127.0.0.1:8000", "[::1]:8000", "[::1]"])
def test_loopback_has_many_names(client: FlaskClient, host: str) -> None:
    assert client.get("/livez", headers={"Host": host}).status_code == 200


def test_the_names_can_be_set(settings: Settings) -> None:
    ours = create_app(replace(settings, hosts=frozenset({"kiln.example"}))).test_client()
    assert ours.get("/livez", headers={"Host": "kiln.example:443"}).status_code == 200
    assert_problem(ours.get("/livez"), "misdirected_request")
    anybodys = create_app(replace(settings, hosts=frozenset({"*"}))).test_client()
    assert anybodys.get("/livez", headers={"Host": "what.ever"}).status_code == 200
