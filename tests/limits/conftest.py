"""A web application whose callers are limited."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.factory import create_app
from app.settings import Settings
from tests.accounts.world import World
from tests.api.answers import registered_ready
from tests.conftest import with_key
from tests.workbench import Workbench

Rows = Callable[..., list[Any]]

#: Makes a client of another web process on the same database, with these settings.
Limited = Callable[..., FlaskClient]


@pytest.fixture
def limited(settings: Settings, template: tuple[str, str]) -> Iterator[Limited]:
    """What makes them."""
    made: list[Flask] = []

    def client(key: str = template[1], **changed: Any) -> FlaskClient:
        made.append(create_app(replace(settings, **changed)))
        return with_key(made[-1], key)

    yield client
    for app in made:
        app.extensions["kiln.waiters"].close()
        app.extensions["kiln"].close()


@pytest.fixture
def url(client: FlaskClient, workbench: Workbench) -> str:
    """A function's address."""
    return f"/functions/{registered_ready(client, workbench)['id']}"


@pytest.fixture
def later(rows: Rows) -> Callable[..., None]:
    """Lets time go by for rates."""

    def pass_by(**time: float) -> None:
        rows("UPDATE throttles SET due_at = due_at - %s", timedelta(**time))

    return pass_by


@pytest.fixture
def somebody(world: World) -> str:
    """Another user's key."""
    return world.key(world.user())[1]
