"""A world of users."""

import pytest
from flask import Flask

from tests.accounts.world import World


@pytest.fixture
def world(app: Flask) -> World:
    """Of one database."""
    return World(app)
