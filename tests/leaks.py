"""Looks for what must not be kept in plain, as whoever got hold of a dump of the database would."""

import base64
from collections.abc import Collection

import psycopg
from psycopg import sql

_TABLES = """
SELECT oid::regclass::text FROM pg_class
WHERE relkind IN ('r', 'm') AND relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
"""


def forms(text: str) -> list[str]:
    """What a text is written as: plain, as bytes in hexadecimal digits, and in base64."""
    return [text, text.encode().hex(), base64.b64encode(text.encode()).decode().rstrip("=")]


def holders(url: str, *secrets: str) -> list[str]:
    """The tables of which a row has one of these in it, in any form."""
    with psycopg.connect(url, autocommit=True) as connection:
        tables = [name for (name,) in connection.execute(_TABLES)]
        assert {"environment_entries", "tokens", "broker.messages"} <= set(tables)
        assert any(name.startswith("executions_") for name in tables)
        count = sql.SQL("SELECT count(*) FROM {} AS one WHERE one::text LIKE ANY (%s)")
        patterns = [f"%{form}%" for secret in secrets for form in forms(secret)]
        found = []
        for table in tables:
            row = connection.execute(count.format(sql.SQL(table)), [patterns]).fetchone()
            if row is not None and row[0]:
                found.append(table)
    return found


def shown(written: str, secrets: Collection[str]) -> list[str]:
    """Those that a text has in it, in any form."""
    return [secret for secret in secrets if any(form in written for form in forms(secret))]
