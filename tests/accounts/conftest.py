"""A world of users."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask

from app.factory import create_app
from app.settings import Settings


@pytest.fixture
def another_process(settings: Settings) -> Iterator[Callable[..., Flask]]:
    """Makes further web applications on the same database, with other settings where these are given."""
    made: list[Flask] = []

    def make(**changes: Any) -> Flask:
        made.append(create_app(replace(settings, **changes)))
        return made[-1]

    yield make
    for flask in made:
        flask.extensions["kiln.waiters"].close()
        flask.extensions["kiln"].close()
