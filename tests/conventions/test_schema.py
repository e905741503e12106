"""The migrations make what the models say, and the hot path's statements use their indexes."""

from uuid import uuid4

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from app.executions import history_queries, queries
from app.platform import Platform
from app.tables import metadata


def test_the_migrations_make_what_the_models_say(platform: Platform) -> None:
    def ours(name: str | None, kind: str, _parents: object) -> bool:
        return kind != "table" or name in metadata.tables

    with platform.database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_name": ours, "compare_type": True})
        differences = [entry for entry in compare_metadata(context, metadata) if "modify_comment" not in str(entry)]
    assert differences == []


def test_one_execution_is_found_in_one_partition_by_its_key(platform: Platform) -> None:
    with platform.database.engine.connect() as connection:
        text = str(
            connection.exec_driver_sql("EXPLAIN (FORMAT JSON) " + history_queries.FIND, {"id": uuid4()}).scalar_one()
        )
    assert text.count("'Relation Name': 'executions_") == 1


def test_a_group_is_settled_and_taken_along_by_indexes(platform: Platform) -> None:
    nothing = {"ended": "[]", "queue": "execute", "priority": 3, "most": 1, "holder": "x", "lease": "15 s"}
    nothing |= {"after": 0, "urgent_after": 0}
    statement = "EXPLAIN (FORMAT JSON) " + queries.FINISH_GROUP
    with platform.database.engine.connect() as connection:
        connection.exec_driver_sql("SET enable_seqscan = off")
        text = str(connection.exec_driver_sql(statement, nothing).scalar_one())
    assert "Seq Scan" not in text
    assert text.count("ix_messages_ready") == 2
    assert "messages_pkey" in text


def test_the_history_of_a_function_is_read_by_its_index(platform: Platform) -> None:
    history = f"SELECT {history_queries.LISTED} FROM executions WHERE function_id = %(id)s ORDER BY id DESC LIMIT 51"  # noqa: S608
    statement = "EXPLAIN (FORMAT JSON) " + history
    with platform.database.engine.connect() as connection:
        connection.exec_driver_sql("SET enable_seqscan = off")
        text = str(connection.exec_driver_sql(statement, {"id": uuid4()}).scalar_one())
    assert "function_id_id_idx" in text
    assert "'Node Type': 'Sort'" not in text
