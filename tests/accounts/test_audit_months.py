"""The months of the audit: made though their first events came before them, and dropped when they are old."""

from collections.abc import Callable
from datetime import date
from typing import Any

import psycopg
import pytest
from sqlalchemy.exc import DBAPIError

from app.audit import service
from app.platform import Platform

Rows = Callable[..., list[Any]]

EARLY = """
INSERT INTO audit_events (id, at, actor, via, action, outcome)
SELECT first_id_at(at), at, '', 'SYSTEM', 'early', 'DONE' FROM unnest(%s::timestamptz[]) AS at
"""
WHERE = "SELECT at::date, tableoid::regclass::text FROM audit_events WHERE action = 'early' ORDER BY id"

MAY, JUNE, JULY = (date(2031, month, 10) for month in (5, 6, 7))


@pytest.fixture
def early(rows: Rows) -> None:
    """Events of two months that have no partition."""
    rows(EARLY, [MAY, MAY.replace(day=11), JULY])
    assert {place for _, place in rows(WHERE)} == {"audit_events_default"}


@pytest.mark.usefixtures("early")
def test_a_month_gets_what_came_before_it(platform: Platform, rows: Rows) -> None:
    with platform.database.statement() as connection:
        service.keep(connection, MAY, JUNE)
        assert [place for _, place in rows(WHERE)] == ["audit_events_2031_05"] * 2 + ["audit_events_default"]
        service.keep(connection, MAY, JUNE, JULY)
    assert [place for _, place in rows(WHERE)] == ["audit_events_2031_05"] * 2 + ["audit_events_2031_07"]
    # And new ones go where they belong.
    rows(EARLY, [JUNE, date(2032, 1, 1)])
    assert [place for _, place in rows(WHERE)][-1] == "audit_events_default"
    assert (JUNE, "audit_events_2031_06") in rows(WHERE)


@pytest.mark.usefixtures("early")
@pytest.mark.parametrize("table", ["audit_events_default", "audit_events_2031_05"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET actor = 'x'", "DELETE FROM {}", "TRUNCATE {}"])
def test_what_was_moved_stays_as_what_was_written(platform: Platform, rows: Rows, table: str, statement: str) -> None:
    with platform.database.statement() as connection:
        service.keep(connection, MAY)
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied"):
        rows(statement.format(table))
    rows(f"GRANT UPDATE, DELETE, TRUNCATE ON {table} TO CURRENT_USER")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="never changed or deleted"):
        rows(statement.format(table))


def test_old_months_go_where_new_ones_cannot_be_made(platform: Platform, rows: Rows) -> None:
    rows("SELECT create_audit_partition('2020-05-01')")
    rows(
        "DO $$ BEGIN EXECUTE format("
        "'CREATE TABLE in_the_way PARTITION OF audit_events FOR VALUES FROM (%%L) TO (%%L)', "
        "first_id_at('2031-05-05'), first_id_at('2031-05-06')); END $$"
    )
    with platform.database.statement() as connection, pytest.raises(DBAPIError, match="would overlap"):
        service.keep(connection, MAY)
    assert rows("SELECT to_regclass('audit_events_2020_05')") == [(None,)]
