"""How often something may be tried, by whom, and what counts as one of them."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.accounts import passwords
from app.accounts.attempts import bucket
from tests.conftest import PASSWORD

ADMIN = "admin@localhost"
Rows = Callable[..., list[Any]]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashing takes so long that turns would come back meanwhile."""
    monkeypatch.setattr(passwords, "_verify", lambda password, _kept: password == PASSWORD)


def sign_in(client: FlaskClient, address: str = "192.0.2.1", password: str = PASSWORD) -> TestResponse:
    sent = {"email": ADMIN, "password": password}
    return client.post("/sessions", json=sent, environ_base={"REMOTE_ADDR": address})


@pytest.mark.parametrize(
    ("address", "counts_as"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("no address", "no address"),
        (None, ""),
    ],
)
def test_a_network_counts_as_one_address(address: str | None, counts_as: str) -> None:
    assert bucket(address) == counts_as


@pytest.mark.usefixtures("quick")
def test_whoever_has_a_network_guesses_no_more_often(app: Flask, rows: Rows) -> None:
    for n in range(6):
        answer = sign_in(app.test_client(), f"2001:db8:1:2::{n:x}", "guess")
    assert answer.status_code == 429
    # And what strangers are refused is counted alike.
    app.test_client().delete("/sessions/current", environ_base={"REMOTE_ADDR": "2001:db8:1:2::77"})
    assert rows("SELECT name FROM throttles WHERE name LIKE '%%2001:%%' AND name NOT LIKE '%%2001:db8:1:2::/64'") == []
    assert len(rows("SELECT name FROM throttles WHERE name LIKE '%%2001:db8:1:2::/64'")) == 3
