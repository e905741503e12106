"""The way to PostgreSQL."""

import threading
from concurrent.futures import ThreadPoolExecutor

from app.database import Database
from app.settings import Settings


def test_who_finds_no_connection_free_waits_for_one(settings: Settings) -> None:
    """Making one more for a moment costs PostgreSQL more than many statements."""
    database = Database(settings.database_url, pool_size=3)

    def serve(_number: int) -> int:
        with database.statement() as connection:
            connection.exec_driver_sql("SELECT pg_sleep(0.01)")
            return int(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())

    with ThreadPoolExecutor(24) as threads:
        servers = set(threads.map(serve, range(96)))
    database.dispose()
    assert len(servers) <= 3


def test_threads_that_come_first_at_the_same_moment_share_an_engine(settings: Settings) -> None:
    """Each would have connections of its own otherwise, which nobody ever closes."""
    database, start = Database(settings.database_url), threading.Barrier(24)

    def take(_number: int) -> int:
        start.wait()
        return id(database.engine)

    with ThreadPoolExecutor(24) as threads:
        assert len(set(threads.map(take, range(24)))) == 1
