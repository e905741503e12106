"""Who may do what in the embedded server, and how homes of older versions come to that."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from app.addresses import embedded_url, fingerprint
from app.audit.service import KEPT_DAYS
from app.local.administrator import administrator_of
from app.local.postgres import EmbeddedPostgres
from tests.conftest import ROOT, release

ATTRIBUTES = """
SELECT rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls FROM pg_roles WHERE rolname = current_user
"""

#: What somebody has added to a home of an older version: one thing of each kind that can be owned.
ADDED = """
CREATE SCHEMA "Mixed {case}" CREATE TABLE "a %s" (id int GENERATED ALWAYS AS IDENTITY, old serial PRIMARY KEY);
CREATE SEQUENCE alone;
CREATE TYPE mood AS ENUM ('well');
CREATE TYPE pair AS (one int, two mood);
CREATE TYPE span AS RANGE (subtype = int);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE FUNCTION twice("n m" int, VARIADIC moods mood[]) RETURNS int LANGUAGE sql AS 'SELECT 2 * "n m"';
CREATE PROCEDURE nothing() LANGUAGE sql AS '';
CREATE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0');
CREATE MATERIALIZED VIEW names AS SELECT email FROM users;
CREATE STATISTICS together ON actor, action FROM audit_events;
CREATE EXTENSION IF NOT EXISTS plpgsql;
SELECT lo_create(47110);
CREATE ROLE reader;
GRANT SELECT ON users, audit_events TO reader;
CREATE FUNCTION watch() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''watched''; END';
CREATE EVENT TRIGGER watching ON ddl_command_end EXECUTE FUNCTION watch();
"""

#: What the superuser still owns, beside what initdb made, extensions, event triggers, and the constructors of ranges.
LEFT = """
SELECT relname FROM pg_class WHERE oid >= 16384 AND relowner = 10 AND relnamespace <> 'pg_toast'::regnamespace
UNION ALL SELECT proname FROM pg_proc WHERE oid >= 16384 AND proowner = 10 AND prosrc !~ 'range_constructor'
UNION ALL SELECT typname FROM pg_type WHERE oid >= 16384 AND typowner = 10
UNION ALL SELECT nspname FROM pg_namespace WHERE oid >= 16384 AND nspowner = 10 AND nspname !~ '^pg_'
UNION ALL SELECT stxname FROM pg_statistic_ext WHERE stxowner = 10
UNION ALL SELECT 'large object' FROM pg_largeobject_metadata WHERE lomowner = 10
UNION ALL SELECT datname FROM pg_database WHERE datname = current_database() AND datdba = 10
"""

#: Starts the server and kills it and itself at the statement with a number, counted from the first one.
INTERRUPTED = """
import os, signal, sys
from itertools import count
from pathlib import Path
import psycopg
from app.local.postgres import EmbeddedPostgres

server, numbers, execute = EmbeddedPostgres(Path(sys.argv[1]), durable=False), count(1), psycopg.Connection.execute

def counted(*arguments, **named):
    if next(numbers) == int(sys.argv[2]):
        os.kill(server.pid, signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)
    return execute(*arguments, **named)

psycopg.Connection.execute = counted
server.start()
"""


def rows(url: str, statement: str) -> list[Any]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description is not None else []


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A server as `make up` runs it, with the newest schema."""
    with EmbeddedPostgres(tmp_path_factory.mktemp("running"), durable=False) as server:
        release(server.url(), server.home)
        yield server


def test_the_role_owns_its_database_and_nothing_of_the_server(running: EmbeddedPostgres) -> None:
    assert rows(running.url(), ATTRIBUTES) == [(False,) * 5]
    owned = rows(running.url(), "SELECT datname FROM pg_database WHERE pg_has_role(datdba, 'member')")
    assert owned == [("kiln",)]
    member_of = "SELECT rolname FROM pg_roles WHERE pg_has_role(oid, 'member') AND rolname <> current_user"
    assert rows(running.url(), member_of) == [("pg_database_owner",)]
    assert rows(running.url(), LEFT) == []


@pytest.mark.parametrize(
    "statement",
    [
        "COPY (SELECT 1) TO PROGRAM 'id'",
        "COPY users FROM PROGRAM 'id'",
        "COPY (SELECT 1) TO '/tmp/kiln-must-not-be'",
        "SELECT pg_read_file('postgresql.conf')",
        "SELECT pg_ls_dir('/')",
        "SELECT lo_import('/etc/passwd')",
        "SELECT pg_reload_conf()",
        "ALTER SYSTEM SET archive_command = 'id'",
        "ALTER DATABASE kiln SET session_preload_libraries = 'evil'",
        "ALTER ROLE kiln SUPERUSER",
        "SET ROLE postgres",
        "SET SESSION AUTHORIZATION postgres",
        "SET session_replication_role = replica",
        "CREATE ROLE other",
        "CREATE DATABASE other",
        "CREATE FUNCTION f() RETURNS int LANGUAGE c AS 'libc', 'getpid'",
        "CREATE FUNCTION f() RETURNS int LANGUAGE internal AS 'pg_backend_pid'",
        "SELECT rolpassword FROM pg_authid",
    ],
)
def test_what_leads_out_of_the_database_is_refused(running: EmbeddedPostgres, statement: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        rows(running.url(), statement)


@pytest.mark.parametrize(("role", "database"), [("postgres", "kiln"), ("postgres", "postgres"), ("kiln", "postgres")])
def test_nobody_else_is_let_in(running: EmbeddedPostgres, role: str, database: str) -> None:
    with pytest.raises(psycopg.OperationalError, match=r"no pg_hba\.conf entry"):
        psycopg.connect(embedded_url(running.home, database, role=role))


def test_upkeep_drops_old_months_of_the_audit_as_the_role(running: EmbeddedPostgres) -> None:
    rows(running.url(), "SELECT create_audit_partition('2020-05-01')")
    for statement in ("UPDATE audit_events_2020_05 SET actor = ''", "TRUNCATE audit_events_2020_05"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied"):
            rows(running.url(), statement)
    assert rows(running.url(), f"SELECT drop_audit_partitions({KEPT_DAYS})") == [(1,)]
    assert rows(running.url(), "SELECT to_regclass('audit_events_2020_05')") == [(None,)]


def test_the_superuser_is_let_in_on_request_alone(home: Path) -> None:
    with EmbeddedPostgres(home, durable=False, superuser=True) as server:
        assert rows(server.superuser_url(), "SELECT current_user::text") == [("postgres",)]
    with (
        EmbeddedPostgres(home, durable=False) as server,
        pytest.raises(psycopg.OperationalError, match=r"no pg_hba\.conf entry"),
    ):
        psycopg.connect(server.superuser_url())


def test_a_home_of_an_older_version_is_brought_over_however_often_it_is_killed_meanwhile(home: Path) -> None:
    # Given a home where everything is the superuser's, and the files that say whose they are
    old_url = embedded_url(home, role="postgres")
    with EmbeddedPostgres(home, durable=False, superuser=True) as server:
        rows(server.superuser_url(), "DROP DATABASE kiln")
        rows(server.superuser_url(), "DROP ROLE kiln")
        rows(server.superuser_url(), "CREATE DATABASE kiln")
        key = release(old_url, home)
        rows(old_url, ADDED)
        before = privileges(old_url)
        users = rows(old_url, "SELECT * FROM users")
        assert len(rows(old_url, LEFT)) > 50
    (home / "postgres" / "pg_hba.conf").write_text("local all all trust\n")
    # When its first starts are killed: before the role is there, before it is given anything, and amid that
    for number in (2, 3, 6, 20, 60):
        killed = subprocess.run([sys.executable, "-c", INTERRUPTED, home, str(number)], cwd=ROOT, check=False)
        assert killed.returncode == -signal.SIGKILL
    # Then the next one finishes, and everything is there, and the role's
    with EmbeddedPostgres(home, durable=False) as server:
        url = server.url()
        assert rows(url, ATTRIBUTES) == [(False,) * 5]
        assert rows(url, LEFT) == [("watch",)]
        assert rows(url, "SELECT * FROM users") == users
        assert [line.replace("kiln", "postgres") for line in privileges(url)] == before
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied"):
            rows(url, "DELETE FROM audit_events")
        # And the files are still this database's
        known = administrator_of(home, url)
        assert known is not None
        assert known.key == key
        assert json.loads((home / "administrator.json").read_text())["database"] == fingerprint(url)
        assert release(url, home) == key


def privileges(url: str) -> list[str]:
    """Who may do what with each table, view and sequence of ours."""
    statement = """
    SELECT format('%s %s', oid::regclass, relacl) FROM pg_class
    WHERE relacl IS NOT NULL AND oid >= 16384 ORDER BY 1
    """
    return [line for (line,) in rows(url, statement)]
