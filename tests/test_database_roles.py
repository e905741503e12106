"""A database whose operator gives us a superuser, or two roles: one for what owns the tables, one for the rest."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from structlog.testing import capture_logs

from app.addresses import SUPERUSER, embedded_url
from app.factory import create_app
from app.local.postgres import EmbeddedPostgres
from app.operations.service import warn_of_superuser
from app.platform import Platform
from app.settings import Settings, load_settings
from tests.api.answers import register
from tests.conftest import with_key
from tests.workbench import Workbench

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "operations.md").read_text()


def test_a_superuser_is_warned_of_and_the_role_is_not(platform: Platform, postgres: EmbeddedPostgres) -> None:
    with capture_logs() as lines:
        warn_of_superuser(platform)
    assert lines == []
    name = str(psycopg.conninfo.conninfo_to_dict(platform.settings.database_url)["dbname"])
    url = embedded_url(postgres.home, name, role=SUPERUSER)
    given = load_settings({"DATABASE_URL": url, "KILN_HOME": str(platform.settings.home)})
    powerful = Platform.of(given, process="web")
    with capture_logs() as lines:
        warn_of_superuser(powerful)
    powerful.close()
    assert lines == [{"event": "database.superuser", "log_level": "warning", "role": "postgres"}]


def test_a_database_that_is_away_is_not_asked(tmp_path: Path) -> None:
    away = {"DATABASE_URL": "postgresql://kiln@/kiln?host=/nowhere", "KILN_HOME": str(tmp_path)}
    with capture_logs() as lines:
        warn_of_superuser(Platform.of(load_settings(away), process="web"))
    assert lines == []


@pytest.fixture
def app_role(settings: Settings, postgres: EmbeddedPostgres) -> Iterator[str]:
    """The URL of the role that the page makes for everything but release and upkeep."""
    name = str(psycopg.conninfo.conninfo_to_dict(settings.database_url)["dbname"])
    granting = re.search(r"```psql\n(BEGIN.*?)```", PAGE, re.DOTALL)
    assert granting is not None
    with psycopg.connect(postgres.superuser_url(), autocommit=True) as connection:
        connection.execute("CREATE ROLE kiln_app LOGIN")
    rules = postgres.data / "pg_hba.conf"
    before = rules.read_text()
    with psycopg.connect(settings.database_url, autocommit=True) as connection:
        connection.execute(granting[1].encode())
    try:
        rules.write_text(f"{before}local all kiln_app trust\n")
        reload(postgres)
        yield embedded_url(postgres.home, name, role="kiln_app")
    finally:
        rules.write_text(before)
        reload(postgres)
        with psycopg.connect(embedded_url(postgres.home, name, role=SUPERUSER), autocommit=True) as connection:
            connection.execute("DROP OWNED BY kiln_app")
            connection.execute("DROP ROLE kiln_app")


def reload(server: EmbeddedPostgres) -> None:
    """Have the server read who is let in."""
    with psycopg.connect(server.superuser_url(), autocommit=True) as connection:
        connection.execute("SELECT pg_reload_conf()")


def test_web_and_workers_need_not_own_the_tables(
    app_role: str, settings: Settings, template: tuple[str, str], rows: Callable[..., list[Any]]
) -> None:
    # Given months that upkeep made after the privileges were granted
    rows("SELECT create_audit_partition('2031-01-01'), create_executions_partition('2031-01-01')")
    app = create_app(load_settings({"DATABASE_URL": app_role, "KILN_HOME": str(settings.home)}))
    client = with_key(app, template[1])
    # When a function is registered, compiled and executed as the lesser role
    with Workbench(app.extensions["kiln"]) as workbench:
        function_id = register(client)["id"]
        workbench.drain()
        workbench.start()
        body = client.post(f"/functions/{function_id}/execute", json={"input": {"name": "Ada"}}).get_json()
    # Then it works, and what was written cannot be touched, nor what protects it
    assert body["status"] == "COMPLETED", body
    assert client.delete(f"/functions/{function_id}").status_code == 204
    with psycopg.connect(app_role, autocommit=True) as connection:
        for statement in (
            "UPDATE audit_events SET actor = ''",
            "DELETE FROM audit_events_default",
            "TRUNCATE audit_events",
            "ALTER TABLE audit_events DISABLE TRIGGER ALL",
            "DROP TABLE audit_events_2031_01",
            "CREATE TABLE mine ()",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
    app.extensions["kiln.waiters"].close()
    app.extensions["kiln"].close()
