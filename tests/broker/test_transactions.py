"""A message is published and settled in the caller's transaction."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from kombu import Connection, Consumer, Exchange, Producer, Queue
from sqlalchemy import create_engine

from app.broker import Delivery, publishing_in, settle
from app.settings import Settings
from tests.broker.sending import drain, publish, receive

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


def test_a_fanout_in_a_transaction_exists_only_when_it_commits(
    connect: Connect, database: "psycopg.Connection[Any]"
) -> None:
    reader, writer, exchange, got = (
        connect(polling_interval=30),
        connect(),
        Exchange("news", type="fanout"),
        list[Any](),
    )
    with Consumer(reader.channel(), [Queue("reader", exchange)], on_message=got.append, no_ack=True):
        drain(reader)
        producer = Producer(writer.default_channel, exchange)
        for body, end in (("lost", database.rollback), ("kept", database.commit)):
            with publishing_in(database):
                producer.publish(body)
            drain(reader)
            assert got == []
            end()
        reader.drain_events(timeout=5)
    assert [message.payload for message in got] == ["kept"]


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


@pytest.mark.parametrize("connection", [None, object(), "postgresql://", psycopg.connect])
def test_what_is_no_connection_is_refused(connection: object) -> None:
    with pytest.raises(TypeError, match=r"session\.connection"), publishing_in(connection):
        pass


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
