"""Who asks, and what they may see, is found by indexes, however many users and functions there are."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from app.accounts import credential_queries
from app.accounts.sharing import EVERYBODY
from app.functions import queries as functions
from tests.planning import Mode, Recorder, Statement, explain

GROUPS, LIMIT = 20, 51

#: Of each fifty functions one is shared with a group of somebody's, one with everybody, and the rest with others.
_FILL = """
INSERT INTO groups (id, name, description, created_at, updated_at)
SELECT md5('group ' || n)::uuid, 'group ' || n, '', now(), now() FROM generate_series(0, 99) AS n;
INSERT INTO users (id, email, name, role, enabled, created_at, updated_at)
SELECT md5('user ' || n)::uuid, 'user-' || n || '@example.org', '', 'DEV', true, now(), now()
FROM generate_series(1, 5000) AS n;
INSERT INTO memberships (group_id, user_id, created_at)
SELECT md5('group ' || n % 100)::uuid, md5('user ' || n)::uuid, now() FROM generate_series(1, 5000) AS n;
INSERT INTO api_keys (id, user_id, name, hint, scopes, created_at, expires_at)
SELECT id, id, '', '', '{}', now(), now() + interval '1 day' FROM users;
INSERT INTO tokens (digest, api_key_id) SELECT sha256(id::text::bytea), id FROM api_keys;
INSERT INTO functions (id, name, description, timeout_ms, memory_mb, latest_version, revision, created_at, updated_at,
    allowed_groups)
SELECT md5('function ' || n)::uuid, 'function-' || n, '', 1000, 64, 1, 1, now(), now(),
    CASE n % 50 WHEN 0 THEN ARRAY[md5('group ' || n / 50 % 20)::uuid] WHEN 1 THEN '{}'::uuid[]
        ELSE ARRAY[md5('group ' || 20 + n % 80)::uuid] END
FROM generate_series(1, 20000) AS n;
INSERT INTO versions (function_id, number, language, source, source_digest, status, compile_attempts, created_at)
SELECT id, 1, 'wat', '(module)', '', 'PENDING', 0, now() FROM functions
"""


@pytest.fixture(scope="module")
def session(new_database: Callable[[], str]) -> Iterator[Session]:
    """A session on a database with many functions, whose statements are recorded."""
    url = new_database()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_FILL)
        connection.execute("VACUUM (ANALYZE)")
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url, cursor_factory=Recorder))
    with Session(engine) as session:
        yield session
    engine.dispose()


def sent(work: Callable[[], object]) -> list[Statement]:
    """What is asked meanwhile."""
    Recorder.sent.clear()
    work()
    return list(Recorder.sent)


def identified(session: Session, name: str) -> UUID:
    """What the database calls something."""
    return UUID(str(session.connection().exec_driver_sql("SELECT md5(%(name)s)::uuid", {"name": name}).scalar_one()))


@pytest.mark.parametrize("mode", ["custom", "generic"])
def test_a_list_is_read_by_the_index_of_whom_functions_are_shared_with(session: Session, mode: Mode) -> None:
    audiences = [EVERYBODY, *(identified(session, f"group {n}") for n in range(GROUPS))]
    first, second = sent(lambda: functions.page(session, audiences, before=None, limit=LIMIT))
    ids, items = explain(first, mode, execute=True), explain(second, mode, execute=True)
    assert ids.indexes == {"pk_function_audiences"}
    assert ids.rows_read("function_audiences") <= len(audiences) * LIMIT
    assert items.indexes == {"pk_functions", "pk_versions"}
    assert (items.read_whole, items.rows_read("functions")) == (set(), LIMIT)


@pytest.mark.parametrize("mode", ["custom", "generic"])
def test_who_asks_is_found_by_the_digest_of_their_token(session: Session, mode: Mode) -> None:
    digest = session.connection().exec_driver_sql("SELECT digest FROM tokens LIMIT 1").scalar_one()
    (statement,) = sent(
        lambda: credential_queries.authenticate(session.connection(), bytes(digest), idle=timedelta(minutes=30))
    )[:1]
    plan = explain(statement, mode, execute=True)
    assert {"pk_tokens", "pk_users", "pk_api_keys"} <= plan.indexes
    assert plan.read_whole <= {"sessions"}
    assert plan.blocks_read < 30
