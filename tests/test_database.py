"""The way to PostgreSQL."""

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
