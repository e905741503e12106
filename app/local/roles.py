"""The role of Kiln's processes in the embedded server: it owns their database, and nothing of the server.

Only the superuser can make it, and give it what older versions made, where everything was the superuser's. Each step
is a transaction and looks first at what is there, so that the next start finishes what a killed one began.
"""

from typing import Any, LiteralString

from psycopg import Connection

from app.addresses import ROLE, SUPERUSER

#: How the superuser connects: names mean what PostgreSQL means by them, whatever the database's owner has put there.
SAFELY = "-c search_path=pg_catalog,pg_temp -c event_triggers=off"

_ATTRIBUTES = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"

# What initdb made has numbers below 16384. What belongs to an extension stays with it, what belongs to a table (its row
# type, the sequence of a column) goes with it, and an event trigger's function would run as whoever is connected.
_OBJECTS: LiteralString = """
SELECT known.type, known.identity
FROM (
    SELECT 'pg_namespace'::regclass AS catalog, oid, nspowner AS owner FROM pg_namespace WHERE nspname !~ '^pg_'
    UNION ALL
    SELECT 'pg_class'::regclass, oid, relowner FROM pg_class
    WHERE relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND relpersistence <> 't'
    UNION ALL
    SELECT 'pg_proc'::regclass, oid, proowner FROM pg_proc WHERE oid NOT IN (SELECT evtfoid FROM pg_event_trigger)
    UNION ALL
    SELECT 'pg_type'::regclass, oid, typowner FROM pg_type
    UNION ALL
    SELECT 'pg_statistic_ext'::regclass, oid, stxowner FROM pg_statistic_ext
    UNION ALL
    SELECT 'pg_largeobject'::regclass, oid, lomowner FROM pg_largeobject_metadata
) AS object
CROSS JOIN LATERAL pg_identify_object(object.catalog, object.oid, 0) AS known
WHERE object.oid >= 16384 AND object.owner = %s::regrole AND NOT EXISTS (
    SELECT FROM pg_depend
    WHERE classid = object.catalog AND objid = object.oid AND objsubid = 0
      AND (deptype IN ('e', 'i') OR deptype = 'a' AND known.type = 'sequence')
)
"""

_HOLDS_DATABASE: LiteralString = """
SELECT 1 FROM pg_database WHERE datname = current_database() AND datdba = %s::regrole
"""

#: What `pg_identify_object` calls otherwise than ALTER does.
_ALTERED = {"composite type": "type", "statistics object": "statistics"}


def make_role(connection: "Connection[Any]") -> None:
    """Make the role, or take from it what it shall not have."""
    if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (ROLE,)).fetchone():
        connection.execute(f"CREATE ROLE {ROLE}".encode())
    connection.execute(f"ALTER ROLE {ROLE} {_ATTRIBUTES}".encode())


def make_database(connection: "Connection[Any]", name: str, template: str = "template1") -> None:
    """Make a database of the role's unless it is there. Files are copied as files: through the log, as PostgreSQL does
    it by itself, a template with hundreds of small tables takes ten times as long.
    """
    if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone():
        connection.execute(f'CREATE DATABASE "{name}" OWNER {ROLE} TEMPLATE "{template}" STRATEGY FILE_COPY'.encode())


def hand_over(connection: "Connection[Any]") -> None:
    """Give the role the database that the superuser is connected to, and what the superuser owns there: all or nothing.

    Privileges go along: what was revoked from the superuser as the owner is revoked from the role.
    """
    with connection.transaction():
        for kind, identity in connection.execute(_OBJECTS, (SUPERUSER,)).fetchall():
            # The catalog quotes what needs it.
            connection.execute(f"ALTER {_ALTERED.get(kind, kind)} {identity} OWNER TO {ROLE}".encode())
        if not connection.execute(_HOLDS_DATABASE, (ROLE,)).fetchone():
            connection.execute(f'ALTER DATABASE "{connection.info.dbname}" OWNER TO {ROLE}'.encode())
