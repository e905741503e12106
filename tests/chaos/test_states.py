"""R23: executions have no other lives than those of the model, whatever happens in whatever order.

A Hypothesis state machine drives the statements that web servers and workers use, over a real PostgreSQL, and compares
every row with a model after every step; the witness and the oracle are those of the other tests.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from kombu import Connection

from app.accounts import first
from app.broker import Delivery, register_transport, statements
from app.executions import queries, running, service
from app.executions.domain import ErrorType, Finish, Priority, Status, Submission
from app.executions.queries import BEGIN, EXPIRED, LOST, RELEASED, Claimed
from app.functions.domain import FunctionLimits
from app.functions.service import Code, register
from app.identity import new_id
from app.platform import Platform
from app.queue import Queue
from tests.chaos.conftest import Report
from tests.chaos.installation import Installation
from tests.chaos.oracle import INVARIANTS, Verdict
from tests.chaos.scale import Scale
from tests.programs import ECHO
from tests.workbench import Workbench

#: Those that hold at any moment; the others when everything has come to rest.
ALWAYS = ("I3", "I4", "I6", "I9")

RETRY = {"attempts": 2, "backoff_seconds": 0, "max_backoff_seconds": 0, "error_types": ["TRAP"]}

_ENDED = """
SELECT count(*) FILTER (WHERE status IN ('COMPLETED', 'FAILED', 'CANCELLED')), count(*) FILTER (WHERE attempts > 1)
FROM executions
"""

_RESET = "TRUNCATE executions, broker.messages, chaos.history"


@dataclass
class Life:
    """An execution as it should be."""

    function: str
    status: Status = Status.PENDING
    attempts: int = 0
    retries: int = 0
    losses: int = 0
    is_aged: bool = False


@dataclass
class Holding:
    """Something in a worker's hands. Whether its lease still holds is the model's to know."""

    execution_id: UUID
    claimed: Claimed
    attempt: int | None
    is_valid: bool = True


class Lives(RuleBasedStateMachine):
    """Submissions, claims, ends and everything that may come in between."""

    held = Bundle("held")
    platform: Platform
    functions: dict[str, str]
    counts: Counter[str]
    """Over all lives of all machines."""

    def __init__(self) -> None:
        super().__init__()
        self.lives: dict[UUID, Life] = {}
        self.holdings: list[Holding] = []
        self.principal = first.program(self.platform)
        options = {
            "on_claim": {"execute": BEGIN},
            "on_dead": [LOST],
            "on_expired": [EXPIRED],
            "lease_seconds": 600,
        }
        self.connection = Connection(self.platform.settings.database_url, transport_options=options)
        self.channel: Any = self.connection.default_channel
        self.channel.connection.pump.consuming("execute")

    def teardown(self) -> None:
        """Everything comes to rest, and the oracle has nothing to say."""
        try:
            for one in self.holdings:
                self.complete(one)
            self.rows("UPDATE broker.messages SET ready_at = now() WHERE state = 'delayed' AND ready_at <> 'infinity'")
            for _ in range(400):
                holding = self._claim()
                if holding is not None:
                    self.complete(holding)
                elif self.rows("SELECT FROM broker.messages WHERE state <> 'dead'"):
                    self.beat()
                else:
                    break
            self.check(tuple(INVARIANTS))
            ((ended, duplicated),) = self.rows(_ENDED)
            self.counts.update(submitted=len(self.lives), ended=ended, duplicated=duplicated)
        finally:
            self.connection.release()

    @initialize()
    def begin(self) -> None:
        """An empty database."""
        self.rows(_RESET)

    @rule(
        function=st.sampled_from(["plain", "retried", "gated"]),
        priority=st.sampled_from(Priority),
        is_aged=st.booleans(),
    )
    def submit(self, function: str, priority: Priority, is_aged: bool) -> None:
        """Somebody has something executed."""
        submission = Submission(
            id=new_id(),
            function_id=UUID(self.functions[function]),
            input="1",
            correlation_id="states",
            priority=priority,
            max_age=timedelta(hours=1) if is_aged else None,
        )
        service.submit(self.platform, self.principal, submission)
        self.lives[submission.id] = Life(function, is_aged=is_aged)

    @rule(target=held)
    def claim(self) -> Any:
        """A worker takes the next one."""
        holding = self._claim()
        return multiple() if holding is None else holding

    @rule(holding=held)
    def complete(self, holding: Holding) -> None:
        """A function has ended well."""
        running.finish(self.platform, holding.claimed, Finish(Status.COMPLETED, output="1"))
        if self._ends(holding):
            self.lives[holding.execution_id].status = Status.COMPLETED

    @rule(holding=held)
    def fail(self, holding: Holding) -> None:
        """A function has failed, and may be tried again."""
        end = Finish(Status.FAILED, error_type=ErrorType.TRAP, error_message="trap")
        if holding.attempt is None:
            return
        if not running.try_again(self.platform, holding.claimed, end):
            running.finish(self.platform, holding.claimed, end)
        life = self.lives[holding.execution_id]
        if self._ends(holding):
            if life.function == "retried" and life.retries == 0:
                life.status, life.retries = Status.PENDING, 1
            else:
                life.status = Status.FAILED

    @rule(holding=held)
    def lose(self, holding: Holding) -> None:
        """A lease runs out: its worker was lost."""
        if not holding.is_valid:
            return
        life = self.lives[holding.execution_id]
        self.rows(
            "UPDATE broker.messages SET ready_at = now() - interval '1 second' WHERE id = %s",
            holding.claimed.delivery.message_id,
        )
        self.beat()
        holding.is_valid = False
        life.losses += 1
        if life.losses >= 3 and life.status in {Status.PENDING, Status.RUNNING}:
            life.status = Status.FAILED

    @rule(holding=held)
    def release(self, holding: Holding) -> None:
        """A worker that was told to stop gives back what it holds."""
        hooks = f", hook AS ({RELEASED})"
        self.rows(statements.RELEASE_HELD.format(hooks=hooks), {"holder": holding.claimed.delivery.holder})
        for other in self.holdings:
            if other.is_valid:
                other.is_valid = False
                life = self.lives[other.execution_id]
                if life.status is Status.RUNNING:
                    life.status, life.attempts = Status.PENDING, life.attempts - 1

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        """Somebody changes their mind."""
        if not self.lives:
            return
        execution_id = data.draw(st.sampled_from(sorted(self.lives)))
        life = self.lives[execution_id]
        had_ended = life.status not in {Status.PENDING, Status.RUNNING}
        assert service.cancel(self.platform, execution_id) != had_ended
        if not had_ended:
            life.status = Status.CANCELLED
            for holding in self.holdings:
                if holding.execution_id == execution_id:
                    holding.is_valid = False

    @rule(data=st.data())
    def expire(self, data: st.DataObject) -> None:
        """The time of one that waits has gone by."""
        waiting = [one for one, life in self.lives.items() if life.is_aged and life.status is Status.PENDING]
        if not waiting:
            return
        execution_id = data.draw(st.sampled_from(sorted(waiting)))
        self.rows(
            "UPDATE broker.messages SET expires_at = now() WHERE execution_id = %s AND state IN ('ready', 'delayed')",
            execution_id,
        )
        self.beat()
        self.lives[execution_id].status = Status.FAILED

    @rule(data=st.data())
    def replay(self, data: st.DataObject) -> None:
        """Somebody has something executed once more."""
        if not self.lives:
            return
        original = data.draw(st.sampled_from(sorted(self.lives)))
        again = service.replay(self.platform, self.principal, original, correlation_id="states")
        service.submit(self.platform, self.principal, again)
        self.lives[again.id] = Life(self.lives[original].function)

    @rule()
    def beat(self) -> None:
        """What a worker does once a second."""
        self.channel.connection.pump.beat()

    @invariant()
    def rows_are_as_the_model_says(self) -> None:
        """Every execution."""
        found = {
            execution_id: (status, attempts)
            for execution_id, status, attempts in self.rows("SELECT id, status, attempts FROM executions")
        }
        assert found == {one: (life.status, life.attempts) for one, life in self.lives.items()}
        self.check(ALWAYS)

    def check(self, names: tuple[str, ...]) -> None:
        """Ask the oracle."""
        assert {name: rows for name in names if (rows := self.rows(INVARIANTS[name]))} == {}

    def rows(self, statement: str, *parameters: Any) -> list[Any]:
        """Look into the database."""
        values: Any = parameters[0] if parameters and isinstance(parameters[0], dict) else parameters or None
        with psycopg.connect(self.platform.settings.database_url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), values)
            return cursor.fetchall() if cursor.description else []

    def _claim(self) -> Holding | None:
        messages = self.channel.claim(Queue.EXECUTE, 1)
        if not messages:
            return None
        delivery = Delivery.of(messages[0]["properties"])
        execution_id = UUID(json.loads(messages[0]["body"])[1]["execution_id"])
        life = self.lives[execution_id]
        attempt = delivery.carried and delivery.carried["attempt"]
        if life.status in {Status.PENDING, Status.RUNNING}:
            life.status, life.attempts = Status.RUNNING, life.attempts + 1
            assert attempt == life.attempts
        else:
            assert attempt is None
        holding = Holding(execution_id, Claimed(execution_id, delivery), attempt)
        self.holdings.append(holding)
        return holding

    def _ends(self, holding: Holding) -> bool:
        """Whether what its holder writes counts."""
        life = self.lives[holding.execution_id]
        counts = holding.is_valid and life.status is Status.RUNNING and holding.attempt == life.attempts
        holding.is_valid = False
        return counts


@pytest.fixture
def lives(kiln: Installation) -> Iterator[type[Lives]]:
    """The machine on an installation's database, with a function that is tried again and one that is limited."""
    register_transport()
    platform = Platform.of(kiln.settings, process="test")
    functions = {"plain": kiln.functions["nap"]}
    more: dict[str, dict[str, Any]] = {
        "retried": {"limits": FunctionLimits(), "retry": RETRY},
        "gated": {"limits": FunctionLimits(concurrency=2)},
    }
    for name, members in more.items():
        made, _ = register(
            platform,
            first.program(platform),
            name=name,
            description="",
            code=Code("wat", ECHO.encode()),
            correlation_id="states",
            **members,
        )
        functions[name] = str(made.id)
    with Workbench(platform) as workbench:
        workbench.drain()
    yield type("LivesHere", (Lives,), {"platform": platform, "functions": functions, "counts": Counter()})
    platform.close()


def run(lives: type[Lives], examples: int) -> None:
    """Look for a life that is none of the model's."""
    many = settings(
        max_examples=examples,
        stateful_step_count=30,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
        print_blob=False,
    )
    run_state_machine_as_test(lives, settings=many)


@pytest.mark.promise("R23", "An execution has no other life than those written down, whatever happens in which order.")
def test_there_are_no_other_lives(lives: type[Lives], report: Report, scale: Scale) -> None:
    examples = scale(20, 1_000)
    run(lives, examples)
    submitted, ended = lives.counts["submitted"], lives.counts["ended"]
    verdict = Verdict(
        attempts=submitted,
        acknowledged=submitted,
        ok=ended,
        lost=submitted - ended,
        unexpected=0,
        duplicated=lives.counts["duplicated"],
        recovered=0,
    )
    report(verdict, f"{examples} times up to 30 steps")


@pytest.mark.parametrize("is_fenced", [True, False])
def test_without_fences_there_is_another(lives: type[Lives], monkeypatch: pytest.MonkeyPatch, is_fenced: bool) -> None:
    """Must fail: whoever was given up for lost ends what another has begun."""
    for fence in ("token = %(token)s", "execution.attempts = %(attempt)s"):
        assert queries.FINISH.count(fence) == 1
        if not is_fenced:
            monkeypatch.setattr(queries, "FINISH", queries.FINISH.replace(fence, "true"))
    machine = lives()
    machine.begin()
    machine.submit("plain", Priority.NORMAL, False)
    lost = machine.claim()
    machine.lose(lost)
    machine.claim()
    machine.complete(lost)
    if is_fenced:
        machine.rows_are_as_the_model_says()
        machine.teardown()
        return
    with pytest.raises(AssertionError):
        machine.rows_are_as_the_model_says()
    machine.connection.release()
