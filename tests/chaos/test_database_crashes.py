"""R5 and R6: the database is killed, whole or one backend of it, while clients write."""

import time

import psycopg
import pytest

from app.local.postgres import EmbeddedPostgres
from tests.chaos.conftest import Report
from tests.chaos.installation import Installation
from tests.chaos.ledger import Answer
from tests.chaos.nemesis import Nemesis, kill_a_backend, kill_server
from tests.chaos.scale import Scale
from tests.patience import until


@pytest.mark.promise("R5", "An accepted request survives a crash of the database, and work resumes by itself.")
def test_what_was_accepted_survives_crashes_of_the_database(
    durable_kiln: Installation, server: EmbeddedPostgres, report: Report, scale: Scale
) -> None:
    crashes, every = scale(2, 15), scale(1.5, 2.0)
    nodes = durable_kiln.fleet.workers(2)
    with durable_kiln.writing():
        for _ in range(crashes):
            time.sleep(every)
            crash(server)
            accepted = durable_kiln.ledger.count(Answer.ACCEPTED)
            until(lambda accepted=accepted: durable_kiln.ledger.count(Answer.ACCEPTED) > accepted)  # type: ignore[misc]
    # Then the queue is worked off, and by the same processes.
    verdict = durable_kiln.verdict(seconds=scale(90, 600))
    assert durable_kiln.clients.problems == []
    assert durable_kiln.ledger.count(Answer.REFUSED) > 0
    assert [node.exits for node in nodes] == [[], []]
    report(verdict, f"{crashes} crashes, {durable_kiln.ledger.count(Answer.REFUSED)} requests refused with 503")


def test_without_synchronous_commit_a_crash_of_the_database_loses_what_was_accepted(
    durable_kiln: Installation, server: EmbeddedPostgres
) -> None:
    """Must fail: the server answers before the commit is written."""
    database = durable_kiln.url.partition("@/")[2].partition("?")[0]
    with psycopg.connect(server.superuser_url(), autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {database} SET synchronous_commit = off".encode())
        connection.execute("ALTER SYSTEM SET wal_writer_delay = '10s'")
        connection.execute("SELECT pg_reload_conf()")
    with durable_kiln.writing():
        time.sleep(2)
        crash(server)
    with psycopg.connect(server.superuser_url(), autocommit=True) as connection:
        connection.execute("ALTER SYSTEM RESET wal_writer_delay")
        connection.execute("SELECT pg_reload_conf()")
    verdict = durable_kiln.verdict(seconds=0)
    assert verdict.lost > 0
    assert "I1" in verdict.broken


@pytest.mark.promise("R6", "A crash of one connection's backend is a blip: everybody connects again, with bounds.")
def test_a_killed_backend_is_a_blip(durable_kiln: Installation, report: Report, scale: Scale) -> None:
    seconds, every = scale(6, 120), scale(2.0, 5.0)
    nodes = durable_kiln.fleet.workers(3)
    with durable_kiln.writing(), Nemesis(lambda: kill_a_backend(durable_kiln.url), every_seconds=every) as nemesis:
        most = most_connections(durable_kiln, seconds=seconds)
    verdict = durable_kiln.verdict(seconds=scale(90, 600))
    assert durable_kiln.clients.problems == []
    assert [node.exits for node in nodes] == [[], [], []]
    # The web's pool, its listener, and for each worker: consumer, publisher, events, and two for each child.
    assert most <= 30 + 1 + 3 * (3 + 2 * 2), most
    report(verdict, f"{nemesis.acts} backends killed, {most} connections at most")


def crash(server: EmbeddedPostgres) -> None:
    """Kill the whole server and start it again, as the launcher would."""
    kill_server(server)
    until(server.poll, seconds=10, what="the end of the server")
    server.start()


def most_connections(kiln: Installation, *, seconds: float) -> int:
    """Watch the number of this database's connections; answers the largest."""
    most, deadline = 0, time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            ((now,),) = kiln.rows(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            most = max(most, now)
        except psycopg.OperationalError:
            pass
        time.sleep(0.1)
    return most
