"""Two providers, of which the first lets anybody join."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask

from app.providers import read_providers
from app.settings import Settings
from tests.accounts.conftest import another_process
from tests.oidc.browsing import Browser
from tests.oidc.issuer import CLIENT_ID, CLIENT_SECRET, Issuer

__all__ = ["another_process"]


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    """The first one's."""
    with Issuer() as one:
        yield one


@pytest.fixture
def other() -> Iterator[Issuer]:
    """The second one's."""
    with Issuer() as one:
        yield one


@pytest.fixture
def settings(settings: Settings, issuer: Issuer, other: Issuer, tmp_path: Path) -> Settings:
    """Settings with both."""
    return with_providers(settings, tmp_path, issuer, other)


def with_providers(settings: Settings, directory: Path, issuer: Issuer, other: Issuer) -> Settings:
    """Settings with two providers, as a file has them."""
    client = f'client_id = "{CLIENT_ID}"\nclient_secret = "{CLIENT_SECRET}"\n'
    path = directory / "providers.toml"
    path.write_text(
        f'[acme]\nissuer = "{issuer.url}"\n{client}label = "Acme"\nmay_join = true\n'
        'groups_claim = "groups"\ngroups = {readers-there = "readers", writers-there = "writers"}\n'
        f'[other]\nissuer = "{other.url}"\n{client}'
    )
    return replace(settings, oidc_providers=read_providers(str(path)))


@pytest.fixture
def browser(app: Flask) -> Browser:
    """One without a session."""
    return Browser(app)
