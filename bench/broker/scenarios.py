"""The nine scenarios of hardbyte/postgresql-job-queue-benchmarking, five of chaos and four of pressure, for our broker.

A worker with two children is offered tasks at a third of what it can do, by another process, in three phases: before,
meanwhile, after. Then the harm comes once more, and in the midst of it the worker is told to stop. Another one does
what is left, and whatever was published and confirmed must have been done by then.

What hardbyte looks at decides:
    * nothing is lost (`jobs_lost`);
    * the rate afterwards is at least 90 % of the rate before, and was so again within the phase
      (`chaos_recovery_time_s`, whose threshold this is);
    * the worker ends within ten seconds of SIGTERM (the `shutdown_grace_s` of its harness; a system that did not end
      while it was under pressure has failed);
    * under pressure the rate is at least 90 % of that before. hardbyte prints this ratio and sets no mark.

Other than there, one worker and not two is killed, all connections are taken and not 300, connections are ended that
are idle, the worker is told to stop while the harm lasts, and phases are short.
"""

import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.local.postgres import EmbeddedPostgres
from bench.broker import harms
from bench.broker.harms import CAPACITY, TASK_SECONDS, Harm, Scene
from bench.broker.offering import Offering
from bench.broker.processes import STOP_SECONDS, records
from bench.broker.systems import migrate

PHASE_SECONDS = 15
WARMUP_SECONDS = 3
RATE = CAPACITY / 3

#: Of the rate before, what counts as the same.
ENOUGH = 0.9

#: How long the harm lasts before the worker is told to stop.
AMID_SECONDS = 2

#: Nothing was done for so long: what is left is lost. Longer than a lease.
PATIENCE_SECONDS = 40


@dataclass(frozen=True)
class Scenario:
    """A harm, and the share of the phase that it lasts."""

    name: str
    harm: Harm
    share: float = 1
    pressure: bool = False
    amid: Harm | None = None
    """What goes on while the worker is told to stop; by default the harm."""


SCENARIOS = (
    Scenario("PostgreSQL restarted", harms.server_away, share=0.5),
    Scenario("connections ended", harms.backends_killed),
    Scenario("connections all taken", harms.slots_taken),
    Scenario("worker killed", harms.worker_killed, share=0.5, amid=harms.nothing),
    Scenario("workers killed repeatedly", harms.workers_killed, amid=harms.nothing),
    Scenario("idle in transaction", harms.idle_in_transaction, pressure=True),
    Scenario("active readers", harms.active_readers, pressure=True),
    Scenario("high load", harms.high_load, pressure=True),
    Scenario("burst", harms.burst, share=0.2, pressure=True),
)


@dataclass(frozen=True)
class Moments:
    """When what began, by the clock that all processes share."""

    before: int
    meanwhile: int
    relieved: int
    after: int
    stopped: int


@dataclass(frozen=True)
class Outcome:
    """Rates are tasks done per second."""

    before: float
    meanwhile: float
    after: float
    back_seconds: float | None
    """From the end of the harm until a second in which enough was done; none where there was none."""
    behind_seconds: float
    """From the end of the harm until everything was done that had been confirmed by then."""
    lost: int
    repeated: int
    """Done more than once: counted, as there; at least once is what is promised."""
    ended: bool

    def passed(self, scenario: Scenario) -> bool:
        """Whether all marks are met. A machine that cannot do what is offered shows nothing."""
        enough = ENOUGH * self.before
        return (
            self.before >= ENOUGH * RATE
            and self.lost == 0
            and self.after >= enough
            and self.back_seconds is not None
            and self.ended
            and (not scenario.pressure or self.meanwhile >= enough)
        )


@contextmanager
def server() -> Iterator[EmbeddedPostgres]:
    """A durable PostgreSQL that may be stopped and started, with everything that the broker needs."""
    with (
        tempfile.TemporaryDirectory(prefix="kiln-bench-") as home,
        EmbeddedPostgres(Path(home), superuser=True) as started,
    ):
        migrate(started.url())
        yield started


def play(scenario: Scenario, server: EmbeddedPostgres) -> Outcome:
    """One scenario in a new database, from its warm-up to the last task."""
    name = "scenario_" + scenario.name.lower().replace(" ", "_")
    url = server.make_database(name, template="kiln")
    with (
        tempfile.TemporaryDirectory(prefix="kiln-bench-") as directory,
        Offering(url, Path(directory) / "confirmed", rate=RATE, task_seconds=TASK_SECONDS) as offering,
    ):
        scene = Scene(server, url, Path(directory), offering)
        try:
            moments = _phases(scene, scenario)
            ended = _stopped_amid(scene, scenario.amid or scenario.harm)
            offering.stop()
            confirmed = offering.confirmed()
            scene.start_worker()
            done = _work_off(Path(directory) / "starts", set(confirmed))
        finally:
            scene.worker.stop()
    return _judged(moments, confirmed, done, ended=ended)


def _phases(scene: Scene, scenario: Scenario) -> Moments:
    time.sleep(WARMUP_SECONDS)
    before = time.monotonic_ns()
    time.sleep(PHASE_SECONDS)
    meanwhile = time.monotonic_ns()
    scenario.harm(scene, PHASE_SECONDS * scenario.share)
    relieved = time.monotonic_ns()
    time.sleep(PHASE_SECONDS * (1 - scenario.share))
    after = time.monotonic_ns()
    time.sleep(PHASE_SECONDS)
    return Moments(before, meanwhile, relieved, after, time.monotonic_ns())


def _stopped_amid(scene: Scene, harm: Harm) -> bool:
    """Whether the worker ended in time while the harm went on."""

    def stop() -> bool:
        time.sleep(AMID_SECONDS)
        lived = scene.worker.process.poll() is None
        return scene.worker.stop() and lived

    with ThreadPoolExecutor(1) as threads:
        ended = threads.submit(stop)
        harm(scene, AMID_SECONDS + STOP_SECONDS)
        return ended.result()


def _work_off(path: Path, wanted: set[int]) -> list[tuple[int, int]]:
    """Everything that was done, once that is all that is wanted, or nothing more comes."""
    done, quiet_since = records(path), time.monotonic()
    while wanted - {number for number, _ in done} and time.monotonic() < quiet_since + PATIENCE_SECONDS:
        time.sleep(0.2)
        now = records(path)
        if len(now) > len(done):
            done, quiet_since = now, time.monotonic()
    return done


def _judged(moments: Moments, confirmed: dict[int, int], done: Sequence[tuple[int, int]], *, ended: bool) -> Outcome:
    first: dict[int, int] = {}
    for number, moment in done:
        first.setdefault(number, moment)
    times = sorted(first.values())
    before = _rate(times, moments.before, moments.meanwhile)
    waiting = [first[number] for number, moment in confirmed.items() if moment <= moments.relieved and number in first]
    return Outcome(
        before=before,
        meanwhile=_rate(times, moments.meanwhile, moments.after),
        after=_rate(times, moments.after, moments.stopped),
        back_seconds=_back(times, moments.relieved, moments.stopped, enough=ENOUGH * before),
        behind_seconds=max(0.0, (max(waiting, default=0) - moments.relieved) / 1e9),
        lost=len(confirmed.keys() - first.keys()),
        repeated=len(done) - len(first),
        ended=ended,
    )


def _rate(times: Sequence[int], begin: int, end: int) -> float:
    return sum(begin <= moment < end for moment in times) / ((end - begin) / 1e9)


def _back(times: Sequence[int], begin: int, end: int, *, enough: float) -> float | None:
    second, step = 1_000_000_000, 100_000_000
    for moment in range(begin, end - second, step):
        if _rate(times, moment, moment + second) >= enough:
            return (moment - begin) / 1e9
    return None
