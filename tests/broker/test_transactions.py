"""A message is published and settled in the caller's transaction."""

from collections.abc import Callable
from typing import Any

import psycopg
from kombu import Connection, Queue
from sqlalchemy import create_engine

from app.broker import Delivery, publishing_in, settle
from app.settings import Settings
from tests.broker.sending import publish, receive

Connect = Callable[..., Connection]
Rows = Callable[..., list[Any]]


def test_a_message_in_a_transaction_exists_only_when_it_commits(
    connect: Connect, queue: Queue, database: "psycopg.Connection[Any]", rows: Rows
) -> None:
    connection = connect()
    queue(connection.default_channel).declare()
    with publishing_in(database):
        publish(connection, "lost", queue)
    database.rollback()
    with publishing_in(database):
        publish(connection, "kept", queue)
    assert rows("SELECT FROM broker.messages") == []
    database.commit()
    assert [message.payload for message in receive(connection, queue)] == ["kept"]


def test_a_task_is_sent_through_sqlalchemys_transaction(
    connect: Connect, queue: Queue, settings: Settings, rows: Rows
) -> None:
    connection = connect()
    queue(connection.default_channel).declare()
    engine = create_engine("postgresql+psycopg" + settings.database_url.removeprefix("postgresql"))
    with engine.begin() as transaction, publishing_in(transaction):
        publish(connection, "with its row", queue)
        assert rows("SELECT FROM broker.messages") == []
    engine.dispose()
    assert [message.payload for message in receive(connection, queue)] == ["with its row"]


def test_settling_commits_with_the_result_or_not_at_all(
    connect: Connect, queue: Queue, database: "psycopg.Connection[Any]", rows: Rows
) -> None:
    connection = connect()
    publish(connection, "work", queue)
    delivery = Delivery.of(connection.default_channel.claim("work", 1)[0]["properties"])
    settle(database, delivery)
    database.rollback()
    assert len(rows("SELECT FROM broker.messages")) == 1
    settle(database, delivery)
    database.commit()
    assert rows("SELECT FROM broker.messages") == []
