"""The hot statements read by their indexes, and no more than they need: with a million messages, with many of one kind,
and also where the plan was made while there were none.

A case says what the code does; whatever it sends is recorded and explained. A new statement of `app.broker.statements`
or `app.broker.publishing_statements` wants a case here.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import md5
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from kombu import Connection
from sqlalchemy import Connection as Database
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from app.accounts.domain import Principal
from app.audit.domain import Actor
from app.broker import (
    Delivery,
    Place,
    addressed_to,
    dying,
    publishing_statements,
    register_transport,
    settle,
    statements,
)
from app.broker.channel import Channel
from app.broker.events import EventReader
from app.broker.link import Link
from app.broker.pump import Pump
from app.database import SESSION_OPTIONS
from app.executions import bulk_queries, history_queries, submission_queries
from app.executions import queries as executions
from app.executions.domain import Filter, Finish, Key, Status, Submission
from app.executions.queries import Claimed
from app.functions import queries as functions
from app.limits import queries as limits
from app.limits.domain import Allowance
from app.operations import queries as operations
from app.operations.domain import EventFilter
from app.queue import set_places
from app.rules import Role
from tests.planning import Mode, Plan, Recorder, Statement, explain

# In one process: filling takes longer than everything else.
pytestmark = pytest.mark.xdist_group("plans")

FILL = (Path(__file__).parent / "million.sql").read_text()


def fill(connection: "psycopg.Connection[Any]") -> None:
    """A million rows; the indexes are made after them, which takes a third of the time."""
    indexes = connection.execute(
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'messages' AND indexname <> 'messages_pkey'"
    ).fetchall()
    for name, _ in indexes:
        connection.execute(f"DROP INDEX broker.{name}")
    connection.execute(FILL)
    for _, definition in indexes:
        connection.execute(definition)
    connection.execute("VACUUM (ANALYZE) broker.messages")
    connection.execute("ANALYZE")


@dataclass(frozen=True)
class Worker:
    """Everything that sends statements."""

    channel: Channel
    pump: Pump
    plain: "psycopg.Connection[Any]"
    database: Database
    execution: UUID
    """One that is there."""

    def leased(self) -> Delivery:
        """Something in hand."""
        return Delivery.of(self.channel.claim("execute", 1)[0]["properties"])

    def publish(self, exchange: str) -> None:
        """Send a message."""
        message = self.channel.prepare_message("hello", headers={"lane": "lane 3"})
        self.channel.basic_publish(message, exchange, "execute")


@pytest.fixture(scope="module")
def filled(new_database: Callable[[], str]) -> Iterator["psycopg.Connection[Any]"]:
    """A database with a million messages."""
    with psycopg.connect(new_database(), autocommit=True) as connection:
        fill(connection)
        yield connection


@pytest.fixture(scope="module")
def worker(filled: "psycopg.Connection[Any]") -> Iterator[Worker]:
    """A worker of the queue `execute`, whose statements are recorded."""
    register_transport()
    url = f"postgresql://{filled.info.user}@/{filled.info.dbname}?host={filled.info.host}"
    options = {
        "on_claim": {"execute": executions.BEGIN},
        "on_dead": [executions.LOST, *functions.ON_DEAD],
        "on_expired": [executions.EXPIRED],
        "consumer_name": "w1@h",
    }
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(url, cursor_factory=Recorder, options=SESSION_OPTIONS),
    )
    plain = psycopg.connect(url, cursor_factory=Recorder, autocommit=True)
    with Connection(url, transport_options=options) as connection, engine.connect() as database, plain:
        channel = connection.default_channel
        transport = channel.connection
        channel.exchange_declare("news", type="fanout")
        for queue in ("execute", "other-1", "other-2"):
            channel.queue_declare(queue)
            channel.queue_bind(queue, "news")
        transport.link._connection.cursor_factory = Recorder
        transport.pump.consuming("execute")
        ((execution,),) = filled.execute("SELECT id FROM executions LIMIT 1").fetchall()
        yield Worker(channel, transport.pump, plain, database, execution)
    engine.dispose()


FUNCTION = UUID(md5(b"f1", usedforsecurity=False).hexdigest())
END = Finish(Status.COMPLETED, output="1")

#: Tables, or the beginnings of their partitions' names, that are not to be read from end to end. The partitions for
#: times to come are empty.
LARGE = ("messages", f"executions_{datetime.now(UTC):%Y_%m}", f"events_{datetime.now(UTC):%Y_%m_%d}")


def acknowledge(worker: Worker) -> None:
    """Delete what was finished, without a claim."""
    worker.pump.acknowledge(worker.leased())
    Recorder.sent.clear()
    worker.pump.flush()


def unclaim(worker: Worker) -> None:
    """Give back what a lost connection had claimed ahead."""
    delivery = worker.leased()
    transport: Any = worker.channel.connection
    transport.unsaid.unbegun[delivery.tag] = delivery
    Recorder.sent.clear()
    worker.pump.flush()


def bury_lost(worker: Worker) -> None:
    """Set aside what lost its last holder."""
    lost = worker.leased()
    worker.plain.execute(
        "UPDATE broker.messages SET ready_at = now(), losses = 9 WHERE id = %(id)s", {"id": lost.message_id}
    )
    Recorder.sent.clear()
    assert dying.bury_lost(worker.channel.link, worker.channel.on_dead, loss_limit=10)


def renew(worker: Worker) -> None:
    """Renew what is held."""
    worker.channel.basic_get("execute")
    Recorder.sent.clear()
    transport: Any = worker.channel.connection
    transport.renew()


SOMEBODY = Principal(uuid4(), "somebody@example.org", "Somebody", Role.DEV, frozenset({uuid4()}), Actor())


def submit(**terms: Any) -> Callable[[Worker], object]:
    """Accept an execution."""
    allowance = terms.pop("allowance", None)
    submission = Submission(id=uuid4(), function_id=FUNCTION, input="1", correlation_id="c", waiter="w", **terms)
    address = addressed_to("execute", Place(6, lane="lane 3"))
    return lambda worker: submission_queries.submit(
        worker.database, SOMEBODY, submission, address=address, payload="{}", allowance=allowance
    )


def again(worker: Worker) -> None:
    """Give an execution back for another attempt."""
    claimed = Claimed(worker.execution, worker.leased())
    executions.again(worker.database, claimed, END, delay_seconds=1, is_retry=True)


def finish_group(worker: Worker) -> None:
    """Write the end of an execution, and take others along."""
    take = {"queue": "execute", "priority": 3, "holder": "w1@h", "lease": timedelta(seconds=15), "most": 8}
    take |= {"after": 0, "urgent_after": 0}
    executions.finish_group(worker.database, [(Claimed(worker.execution, worker.leased()), END)], take)


def give_back(worker: Worker) -> None:
    """Undo a claim."""
    executions.give_back(worker.database, [Claimed(worker.execution, worker.leased())])


def release_held(worker: Worker) -> None:
    """Give back all that a worker holds."""
    statement: Any = statements.RELEASE_HELD.format(hooks="")
    worker.plain.execute(statement, {"holder": worker.leased().holder})


def messages_of(after: int | None) -> Callable[[Worker], object]:
    """A page of a queue."""
    return lambda worker: operations.messages(worker.database, "compile", after=after, limit=51)


def view(name: str, order: str) -> Callable[[Worker], object]:
    """A view as the operators' page reads it."""
    return lambda worker: worker.plain.execute(f"SELECT * FROM broker.{name} ORDER BY {order} LIMIT 50")  # noqa: S608


READY, PRIMARY = "ix_messages_ready", "messages_pkey"
OF_A_QUEUE = {READY, "ix_messages_delayed", "ix_messages_leased", PRIMARY}
DUE = OF_A_QUEUE
SUBMITTED = {"pk_functions", "pk_versions", READY, "ix_messages_lane"}
COUNTED = {READY, "ix_messages_delayed", "ix_messages_leased", "ix_messages_dead"}


@dataclass(frozen=True)
class Case:
    """What the code does, and the indexes that it must use. Indexes of partitions go by the end of their names."""

    name: str
    do: Callable[[Worker], object]
    indexes: set[str]
    in_order: bool = True
    """Whether messages are read in the order in which they are wanted."""

    def __str__(self) -> str:
        return self.name


CLAIMS = [
    Case("CLAIM", lambda w: w.channel.claim("other-1", 4), {READY, PRIMARY}),
    Case("CLAIM, acknowledging", lambda w: w.channel.claim("other-1", 4, acknowledged=[w.leased()]), {READY, PRIMARY}),
    Case("CLAIM with BEGIN", lambda w: w.channel.claim("execute", 4), {READY, PRIMARY, "_pkey", "pk_functions"}),
    Case(
        "CLAIM with BEGIN, acknowledging",
        lambda w: w.channel.claim("execute", 4, acknowledged=[w.leased()]),
        {READY, PRIMARY, "_pkey", "pk_functions"},
    ),
    Case("TAKE", lambda w: w.channel.claim("other-1", 4, leased=False), {READY, PRIMARY}),
]

HOT = [
    *CLAIMS,
    Case("BEAT with TIDY", lambda w: w.pump.beat(), DUE | {"ix_messages_expiring", "ix_messages_lane", "_pkey"}),
    Case("BEAT", lambda w: w.pump.beat(), DUE | {"ix_messages_lane", "_pkey"}),
    Case("ACKNOWLEDGE", acknowledge, {PRIMARY}),
    Case("RENEW", renew, {PRIMARY}),
    Case("RELEASE", lambda w: w.channel.release([w.leased()], losses=0, requeues=1), {PRIMARY}),
    Case("UNCLAIM", unclaim, {PRIMARY}),
    Case("BURY", lambda w: w.channel.bury(w.leased(), reason="rejected"), {PRIMARY}),
    Case("DYING and BURY_LOST", bury_lost, {"ix_messages_leased", PRIMARY, "_pkey"}),
    Case("RELEASE_HELD", release_held, {"ix_messages_leased"}),
    Case("SETTLE", lambda w: settle(w.plain, w.leased()), {PRIMARY}),
    Case("PUBLISH", lambda w: w.publish(""), {READY, "ix_messages_lane"}),
    Case("PUBLISH_FANOUT", lambda w: w.publish("news"), set()),
]

#: What executions pass through.
PATH = [
    Case("SUBMIT", submit(), SUBMITTED),
    Case("SUBMIT, timed", submit(max_age=timedelta(hours=1)), SUBMITTED),
    Case("SUBMIT, with a key", submit(key=Key("k", b"")), SUBMITTED),
    Case("SUBMIT, by an alias", submit(alias="live"), SUBMITTED),
    Case("SUBMIT, limited", submit(allowance=Allowance(concurrency=3)), SUBMITTED),
    Case("AGAIN", again, {PRIMARY, "_pkey"}),
    Case("FINISH_GROUP", finish_group, {READY, PRIMARY, "_pkey"}),
    Case("GIVE_BACK", give_back, {PRIMARY, "_pkey"}),
    Case("FINISH", lambda w: executions.finish(w.database, w.leased(), w.execution, END), {PRIMARY, "_pkey"}),
]

CASES = [
    *HOT,
    *PATH,
    Case("MEASURE", lambda w: w.channel.queue_declare("execute", passive=True), {READY, "ix_messages_expiring"}),
    Case("SIZE", lambda w: w.channel._size("execute"), {READY, "ix_messages_expiring"}),
    Case("PURGE_QUEUE", lambda w: w.channel.queue_purge("other-3"), OF_A_QUEUE, in_order=False),
    Case("DELETE_QUEUE", lambda w: w.channel.queue_delete("other-4"), OF_A_QUEUE, in_order=False),
    Case("ADMIT", lambda w: executions.admit(w.database), set()),
    Case("SET_GATE", lambda w: set_places(Session(w.database), FUNCTION, 5), set()),
    Case("OPEN_GATE", lambda w: set_places(Session(w.database), FUNCTION, None), {"pk_gates"}),
    Case("WAITING", lambda w: limits.waiting(w.database, "execute", most=1000, lane="lane 3"), {"ix_messages_lane"}),
    Case("UNDER_WAY", lambda w: limits.under_way(w.database, lane="lane 3"), {"ix_messages_through_lane"}),
    Case(
        "ATTEMPTS", lambda w: history_queries.attempts_of(w.database, SOMEBODY, w.execution), {"_pkey", "pk_functions"}
    ),
    Case("CANCEL_ALL", lambda w: executions.cancel_all(w.database, FUNCTION), {"_function_id_id_idx"}),
    Case("CANCEL", lambda w: executions.cancel(w.database, w.execution), {"ix_messages_execution", "_pkey"}),
    Case(
        "CANCEL, many",
        lambda w: bulk_queries.cancel(w.database, SOMEBODY, Filter(function_id=FUNCTION), owns=True, limit=10),
        {"_function_id_id_idx"},
        in_order=False,
    ),
    Case("FIND", lambda w: history_queries.find_visible(w.database, SOMEBODY, w.execution), {"_pkey", "pk_functions"}),
    Case("ENDED", lambda w: history_queries.ended(w.database, [w.execution]), {"_pkey"}),
    Case("INPUT", lambda w: executions.input_of(w.database, w.execution), {"_pkey"}),
    Case(
        "QUEUES",
        lambda w: operations.queues(w.database, ["compile", "execute"]),
        COUNTED,
        in_order=False,
    ),
    Case("FLOW", lambda w: operations.flow(w.database), {"_pkey"}),
    Case("MESSAGES, first page", messages_of(None), {PRIMARY}),
    Case("MESSAGES, next page", messages_of(900_000), {PRIMARY}),
    Case("WORKERS", lambda w: operations.workers(w.database), {"ix_messages_leased", "_kept_at_idx"}, in_order=False),
    Case("EVENTS", lambda w: operations.events(w.database, EventFilter(), before=None, limit=51), {"_id_idx"}),
    Case("READ", lambda w: EventReader(w.channel.link, "task.*").read(w.channel.link), {"_id_idx"}),
    Case("queue_depth", view("queue_depth", "queue"), COUNTED, in_order=False),
    Case("in_flight", view("in_flight", "age DESC"), {"ix_messages_leased"}, in_order=False),
    Case("dead", view("dead", "died_at DESC"), {"ix_messages_dead"}, in_order=False),
]


@pytest.fixture(scope="module")
def sent(worker: Worker) -> dict[str, list[Statement]]:
    """What each case sends, in the order of the cases."""
    recorded = {}
    for case in CASES:
        Recorder.sent.clear()
        case.do(worker)
        worker.database.commit()
        recorded[case.name] = list(Recorder.sent)
    return recorded


def check(case: Case, plans: list[Plan]) -> None:
    """The indexes are used, and nothing large is read from end to end or sorted."""
    used = {index for plan in plans for index in plan.indexes}
    for name in case.indexes:
        assert any(index.endswith(name) for index in used), (name, used)
    for plan in plans:
        assert not any(name.startswith(LARGE) for name in plan.read_whole), str(plan)
        assert not (case.in_order and plan.sorts("messages")), str(plan)


@pytest.mark.parametrize("mode", ["custom", "generic"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_statement_reads_by_its_indexes(sent: dict[str, list[Statement]], case: Case, mode: Mode) -> None:
    assert sent[case.name]
    check(case, [explain(statement, mode) for statement in sent[case.name]])


@pytest.mark.parametrize("mode", ["custom", "generic"])
@pytest.mark.parametrize("case", CLAIMS, ids=str)
def test_a_claim_looks_at_what_it_takes(sent: dict[str, list[Statement]], case: Case, mode: Mode) -> None:
    plan = explain(sent[case.name][-1], mode, execute=True)
    # Four messages, each found and then changed; what has expired among them is passed over.
    assert 8 <= plan.rows_read("messages") <= 20, str(plan)
    assert plan.blocks_read < 250, str(plan)


@pytest.fixture(scope="module")
def alike(new_database: Callable[[], str]) -> Iterator["psycopg.Connection[Any]"]:
    """The transport's connection to a database with many messages of one queue and one priority."""
    with closing(Link(new_database(), name="plans")) as link:
        link.execute(
            "INSERT INTO broker.messages (queue, payload) SELECT 'other-1', '{}' FROM generate_series(1, 50000)"
        )
        link.execute("VACUUM (ANALYZE) broker.messages")
        yield link._connection


@pytest.mark.parametrize("mode", ["custom", "generic"])
@pytest.mark.parametrize("case", [case for case in CLAIMS if "BEGIN" not in case.name], ids=str)
def test_a_claim_does_not_look_for_other_priorities_among_messages_that_have_none(
    sent: dict[str, list[Statement]], alike: "psycopg.Connection[Any]", case: Case, mode: Mode
) -> None:
    plan = explain(sent[case.name][-1], mode, on=alike, execute=True)
    check(case, [plan])
    assert 8 <= plan.rows_read("messages") <= 10, str(plan)


@pytest.fixture(scope="module")
def empty(new_database: Callable[[], str]) -> Iterator[dict[str, "psycopg.Connection[Any]"]]:
    """Connections of a worker and of the web to a database that PostgreSQL knows to be empty."""
    url = new_database()
    with closing(Link(url, name="plans")) as link, psycopg.connect(url, options=SESSION_OPTIONS) as web:
        link.execute("VACUUM (ANALYZE)")
        yield {"worker": link._connection, "web": web}


@pytest.mark.parametrize("mode", ["custom", "generic"])
@pytest.mark.parametrize("case", [case for case in (*HOT, *PATH) if case.name != "SETTLE"], ids=str)
def test_a_plan_that_is_made_while_there_is_nothing_is_good_for_much(
    sent: dict[str, list[Statement]], empty: dict[str, "psycopg.Connection[Any]"], case: Case, mode: Mode
) -> None:
    connection = empty["web" if case.name.startswith("SUBMIT") else "worker"]
    # Functions do not become many between one plan and the next.
    growing = {name for name in case.indexes if name.startswith(("ix_messages", "messages", "_"))}
    check(replace(case, indexes=growing), [explain(statement, mode, on=connection) for statement in sent[case.name]])


def test_every_statement_on_messages_has_its_case(sent: dict[str, list[Statement]]) -> None:
    # The consumers' own table is small.
    elsewhere = {"SET_IDLE", "ANNOUNCE", "ARRIVE", "DEPART", "OF_QUEUE"}
    everything = "".join(statement.text for list_ in sent.values() for statement in list_)
    for name, text in (vars(statements) | vars(publishing_statements)).items():
        if name.isupper() and not name.startswith("_") and name not in elsewhere:
            assert max(re.split(r"\{\w+\}", text), key=len) in everything, f"{name} is explained by no case"
