"""Several at once, always in the same order: all of them wait for a transaction, which then ends."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg

from tests.accounts.world import World
from tests.patience import until

_WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


def meanwhile(world: World, statement: str, *parameters: object, ask: list[Callable[[], Any]]) -> list[Any]:
    """What all of these are answered that are asked while a transaction has done a statement and not yet ended."""
    with ThreadPoolExecutor(len(ask)) as threads:
        with psycopg.connect(world.platform.settings.database_url) as connection:
            connection.execute(statement.encode(), parameters)
            asked = [threads.submit(one) for one in ask]
            until(lambda: world.sql(_WAITING) == [(len(ask),)], what="that all wait")
        return [one.result() for one in asked]
