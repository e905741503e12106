"""Connections are lost, and come back. What goes wrong has a name that kombu knows."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread, Timer
from typing import Any
from urllib.parse import quote, urlsplit

import kombu.exceptions
import psycopg
import pytest
from kombu import Connection, Consumer, Message, Producer, Queue
from kombu.mixins import ConsumerMixin
from psycopg.conninfo import conninfo_to_dict

from app.broker import NotMigrated, publishing_in, register_transport
from app.local.postgres import EmbeddedPostgres
from app.settings import Settings
from tests.broker.proxy import Proxy
from tests.broker.sending import drain, publish, receive
from tests.patience import until

Connect = Callable[..., Connection]
Rows = Callable[..., list[Any]]

AWAY = "postgresql://somebody@/nowhere?host=/nowhere"


def cut(rows: Rows) -> None:
    """End every connection of the tests, but this one."""
    others = "FROM pg_stat_activity WHERE usename = current_user AND pid <> pg_backend_pid()"
    rows(f"SELECT pg_terminate_backend(pid) {others}")


def by_socket(settings: Settings) -> str:
    """The URL of the test's database without options: kombu itself takes those of a list apart."""
    parts = conninfo_to_dict(settings.database_url)
    return f"postgresql://{parts['user']}@{quote(str(parts['host']), safe='')}:5432/{parts['dbname']}"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """A server of the test's own, without our tables."""
    register_transport()
    with EmbeddedPostgres(tmp_path / "server", durable=False, superuser=True) as server:
        yield server


def test_a_connection_opens_and_closes_as_often_as_wanted(connect: Connect) -> None:
    connection = connect()
    for _ in range(2):
        assert connection.connect()
        assert connection.connected
        connection.close()
        assert connection.connection is None
    assert connection.default_channel is not None
    assert connection.channel() is not connection.default_channel


def test_a_server_that_is_away_is_a_connection_error() -> None:
    register_transport()
    connection = Connection(AWAY, transport_options={"max_retries": 1, "interval_start": 0})
    for attempt in (connection.connect, lambda: connection.connection, connection.channel):
        with pytest.raises(connection.connection_errors):
            attempt()
    with pytest.raises(kombu.exceptions.OperationalError):
        assert connection.default_channel
    with pytest.raises(kombu.exceptions.OperationalError):
        connection.ensure_connection(max_retries=1, interval_start=0)


def test_another_server_stands_in_for_one_that_is_away(settings: Settings, queue: Queue) -> None:
    register_transport()
    with Connection(f"{AWAY};{by_socket(settings)}") as connection:
        connection.ensure_connection(max_retries=3, interval_start=0, interval_step=0)
        publish(connection, "here", queue)
        assert receive(connection, queue)[0].payload == "here"


def test_a_connection_may_be_told_in_parts(settings: Settings) -> None:
    register_transport()
    parts = conninfo_to_dict(settings.database_url)
    with Connection(
        parts["host"], userid=parts["user"], virtual_host=f"/{parts['dbname']}", port=5432, transport="postgresql"
    ) as connection:
        assert connection.connect()
    # What is asked of TLS is passed on: a socket of Unix has none, and a wrong word is refused.
    connection = Connection(settings.database_url, ssl={"sslmode": "perhaps"})
    with pytest.raises(connection.connection_errors, match="sslmode"):
        connection.connect()


def test_a_database_without_our_tables_says_what_to_do(server: EmbeddedPostgres, queue: Queue) -> None:
    with Connection(server.url()) as connection:
        with pytest.raises(NotMigrated, match="Run its migrations first") as raised:
            publish(connection, 1, queue, retry=True)
        assert isinstance(raised.value, connection.channel_errors)


def test_a_wrong_password_and_a_stopped_server_are_connection_errors(server: EmbeddedPostgres) -> None:
    # Given a server that asks for a password
    rules = server.data / "pg_hba.conf"
    rules.write_text(f"local all kiln scram-sha-256\n{rules.read_text()}")
    with psycopg.connect(server.superuser_url(), autocommit=True) as admin:
        admin.execute("ALTER ROLE kiln PASSWORD 'right'")
        admin.execute("SELECT pg_reload_conf()")
    url = urlsplit(server.url())
    wrong, right = (Connection(url._replace(netloc=f"kiln:{password}@").geturl()) for password in ("wrong", "right"))
    with pytest.raises(wrong.connection_errors, match="password authentication failed"):
        wrong.connect()
    # When it is stopped under a consumer that waits
    right.connect()
    stopping = Timer(0.3, server.stop)
    stopping.start()
    with pytest.raises(right.connection_errors):
        right.drain_events(timeout=10)
    stopping.join()
    assert not right.connected
    # Then the same connection is made again once it is back
    server.start()
    assert right.ensure_connection(max_retries=3, interval_start=0.1).connected
    right.release()


def test_what_the_database_refuses_is_raised_and_leaves_the_channel_as_it_was(connect: Connect, queue: Queue) -> None:
    connection = connect(on_claim={"work": "SELECT nonsense"})
    channel = connection.default_channel
    publish(connection, 1, queue)
    with pytest.raises(connection.channel_errors) as refused:
        receive(connection, queue)
    assert isinstance(refused.value, psycopg.errors.UndefinedColumn)
    with pytest.raises(connection.channel_errors):
        publish(connection, 1, Queue("nul\0"), retry=True)
    publish(connection, 2, queue)
    assert channel._size("work") == 2
    assert not set(connection.channel_errors) & set(connection.connection_errors)


def test_a_publishing_error_is_raised(
    connect: Connect, queue: Queue, database: "psycopg.Connection[Any]", rows: Rows
) -> None:
    connection = connect()
    queue(connection.default_channel).declare()
    rows("ALTER TABLE broker.messages ADD CONSTRAINT is_full CHECK (queue <> 'work')")
    with pytest.raises(psycopg.IntegrityError):
        publish(connection, 1, queue)
    with publishing_in(database), pytest.raises(psycopg.IntegrityError):
        publish(connection, 1, queue)


def test_a_lost_connection_is_an_error_once(connect: Connect, queue: Queue, rows: Rows) -> None:
    connection = connect()
    publish(connection, 1, queue)
    cut(rows)
    with pytest.raises(connection.connection_errors):
        publish(connection, 2, queue)
    assert not connection.connected
    publish(connection, 3, queue)
    assert [message.payload for message in receive(connection, queue, 2)] == [1, 3]


def test_kombu_publishes_again_over_a_new_connection(connect: Connect, queue: Queue, rows: Rows) -> None:
    connection = connect()
    publish(connection, 1, queue)
    cut(rows)
    publish(connection, 2, queue, retry=True, retry_policy={"max_retries": 2, "interval_start": 0})
    cut(rows)

    def send(number: int, channel: Any) -> None:
        Producer(channel).publish(number, routing_key="work")

    connection.autoretry(send, connection.default_channel)(3)
    cut(rows)
    producer = Producer(connection)
    connection.ensure(producer, producer.publish, max_retries=2, interval_start=0)(4, routing_key="work")
    assert [message.payload for message in receive(connection, queue, 4)] == [1, 2, 3, 4]


class Worker(ConsumerMixin):  # type: ignore[misc]
    """A consumer as kombu's users write it."""

    def __init__(self, connection: Connection, queue: Queue) -> None:
        self.connection, self._queue = connection, queue
        self.got: list[str] = []
        self.hold = True

    def get_consumers(self, consumer: Any, channel: Any) -> list[Consumer]:
        """One consumer of one queue."""
        return [consumer([self._queue], on_message=self.on_message, prefetch_count=2)]

    def on_message(self, message: Message) -> None:
        """Note what comes; keep the first in hand."""
        self.got.append(message.payload)
        if not self.hold:
            message.ack()
        self.hold = False


def test_a_consumer_goes_on_over_a_new_connection(connect: Connect, queue: Queue, rows: Rows) -> None:
    # Given a consumer that has one message in hand
    publish(connect(), "held", queue)
    worker = Worker(connect(lease_seconds=1, polling_interval=0.1), queue)
    thread = Thread(target=worker.run, daemon=True)
    thread.start()
    until(lambda: worker.got == ["held"], seconds=30)
    # When its connection is lost
    cut(rows)
    publish(connect(), "new", queue)
    # Then it gets what is new, and what it held when the lease has run out
    until(lambda: sorted(worker.got) == ["held", "held", "new"], seconds=30)
    until(lambda: rows("SELECT FROM broker.messages") == [], seconds=30)
    worker.should_stop = True
    thread.join(10)
    assert not thread.is_alive()


def test_a_channel_of_a_lost_connection_says_so(connect: Connect, queue: Queue, rows: Rows) -> None:
    connection = connect()
    publish(connection, 1, queue)
    (message,) = receive(connection, queue)
    cut(rows)
    with pytest.raises(connection.connection_errors):
        message.ack()
    connection.ensure_connection()
    assert message.channel.connection is None
    with pytest.raises(connection.connection_errors):
        Producer(message.channel).publish(2, routing_key="work")


def test_a_heartbeat_finds_out_that_the_server_stands_still(settings: Settings, tmp_path: Path) -> None:
    register_transport()
    directory = str(conninfo_to_dict(settings.database_url)["host"])
    with Proxy(tmp_path, directory) as proxy:
        connection = Connection(settings.database_url.replace(directory, str(tmp_path)), heartbeat=0.5)
        assert connection.supports_heartbeats
        connection.connect()
        assert connection.get_heartbeat_interval() == 0.5
        time.sleep(0.3)
        connection.heartbeat_check()
        proxy.hold_breath()
        time.sleep(0.3)
        began = time.monotonic()
        with pytest.raises(connection.connection_errors, match="does not answer"):
            connection.heartbeat_check()
        assert time.monotonic() - began < 1
        assert not connection.connected
        connection.release()


def test_a_wait_is_as_good_with_many_open_files(connect: Connect, queue: Queue) -> None:
    files = [Path("/dev/null").open("rb") for _ in range(1100)]  # noqa: SIM115 - they stay open
    connection = connect()
    publish(connection, 1, queue)
    with Consumer(connection.channel(), [queue], on_message=lambda message: message.ack()):
        drain(connection)
    for file in files:
        file.close()
