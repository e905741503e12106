"""The whole way over HTTP, with a provider that nobody here has taught what to answer."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import requests
from flask import Flask

from app.providers import Provider as Described
from app.settings import Settings
from tests.oidc.browsing import BASE, Browser
from tests.oidc.provider import CLIENT_ID, CLIENT_SECRET, Provider


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    """It."""
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    with Provider() as one:
        yield one


@pytest.fixture
def settings(settings: Settings, provider: Provider) -> Settings:
    """Settings with it."""
    acme = Described(
        name="acme",
        issuer=provider.issuer,
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        label="Acme",
        may_join=True,
    )
    return replace(settings, oidc_providers=(acme,))


def test_somebody_signs_in_with_a_provider_that_holds_to_the_standards(app: Flask) -> None:
    browser = Browser(app)
    there = requests.get(browser.leave(), allow_redirects=False, timeout=5)
    assert there.status_code == 302, there.text
    back = there.headers["Location"]
    assert "iss=" in back
    response = browser.get(back.removeprefix(BASE))
    assert (response.status_code, response.headers["Location"]) == (303, "/console/")
    assert (browser.me()["email"], browser.me()["name"]) == ("jane@example.org", "Jane Doe")
    # And the same code is good for nobody else.
    assert Browser(app).get(back.removeprefix(BASE)).status_code == 401


def test_the_provider_refuses_a_verifier_that_is_another(app: Flask) -> None:
    browser, other = Browser(app), Browser(app)
    caught = requests.get(browser.leave(), allow_redirects=False, timeout=5).headers["Location"]
    own = requests.get(other.leave(), allow_redirects=False, timeout=5).headers["Location"]
    code, others = (dict(part.split("=", 1) for part in one.split("?")[1].split("&")) for one in (caught, own))
    assert other.get(own.removeprefix(BASE).replace(others["code"], code["code"])).status_code == 401
