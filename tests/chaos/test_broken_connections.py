"""R7: connections between a worker and PostgreSQL break in every way that networks know."""

import time
from collections.abc import Callable, Iterator

import pytest

from tests.chaos.conftest import Report
from tests.chaos.fleet import Node
from tests.chaos.installation import Installation
from tests.chaos.nemesis import terminate_backends
from tests.chaos.scale import Scale
from tests.chaos.shim import Shim
from tests.patience import until

#: After a connection that ended, and after one that fell silent. The short form asserts no speed.
SOON_SECONDS, LATER_SECONDS = 5, 30


@pytest.fixture
def shim(kiln: Installation) -> Iterator[Shim]:
    """The network between the workers of the test and its database."""
    with Shim(kiln.url) as shim:
        yield shim


@pytest.mark.promise("R7", "A worker consumes again by itself after whatever happened to its connections.")
def test_a_worker_consumes_again_after_every_kind_of_broken_connection(
    kiln: Installation, shim: Shim, report: Report, scale: Scale
) -> None:
    rounds, soon, later = scale(1, 8), scale(60, SOON_SECONDS), scale(90, LATER_SECONDS)
    worker = kiln.fleet.worker(DATABASE_URL=shim.url, broken="hasty" if scale is Scale.SHORT else None)

    def refused() -> None:
        with shim.refusing():
            shim.end(reset=True)
            time.sleep(scale(3, 20))

    def black_hole(seconds: int) -> Callable[[], None]:
        def harm() -> None:
            with shim.black_hole():
                time.sleep(seconds)

        return harm

    harms: list[tuple[Callable[[], object], int]] = [
        (lambda: shim.end(reset=True), soon),
        (shim.end, soon),
        (refused, soon),
        (lambda: terminate_backends(kiln.url, like=consumer_of(worker)), soon),
        (black_hole(scale(3, 5)), later),
        (lambda: shim.forget(b"kiln broker"), later),
    ]
    slowest = 0.0
    for number in range(rounds):
        longest = [(black_hole(30), later), (black_hole(120), later)] if number == scale(1, 0) else []
        for harm, patience in harms + longest:
            kiln.submit([300] * 4)
            harm()
            slowest = max(slowest, consuming_again(kiln, seconds=patience))
    verdict = kiln.verdict()
    assert worker.exits == []
    report(verdict, f"{rounds * len(harms)} times broken, consuming again after at most {slowest:.1f} s")


def test_unwatched_a_connection_that_fell_silent_is_waited_for_for_ever(kiln: Installation, shim: Shim) -> None:
    """Must fail: nobody ends the connection that nothing will ever come through."""
    kiln.fleet.worker(DATABASE_URL=shim.url, broken="unwatched")
    shim.forget(b"kiln broker")
    kiln.submit([0])
    assert not kiln.await_rest(seconds=10)
    assert kiln.verdict(seconds=0).lost == 1


def test_after_a_reconnect_all_children_work_and_nobody_waits_behind_a_busy_one(
    kiln: Installation, shim: Shim, scale: Scale
) -> None:
    """Celery's pool once forgot at a reconnect which of its children were busy, and gave them more to do."""
    worker = kiln.fleet.worker(concurrency=4, DATABASE_URL=shim.url)
    for _ in range(scale(1, 5)):
        # Given one child that is busy for long when the connection breaks
        kiln.submit([6_000])
        kiln.until("status = 'RUNNING'")
        reconnect(kiln, worker)
        # Then the three others run at the same time
        kiln.submit([1_500] * 3)
        until(lambda: kiln.count("status = 'RUNNING'") == 4, seconds=7, what="four at once")
        kiln.await_rest()
    kiln.verdict().assert_kept()


def test_after_a_reconnect_the_queues_are_those_that_were_asked_for(kiln: Installation) -> None:
    worker = kiln.fleet.worker()
    kiln.celery.control.add_consumer("extra", reply=True, timeout=3)
    assert queues_of(kiln, "execute-1") == {"execute", "extra"}
    reconnect(kiln, worker)
    until(lambda: queues_of(kiln, "execute-1") == {"execute", "extra"}, what="both queues")
    kiln.celery.control.cancel_consumer("extra", reply=True, timeout=3)
    reconnect(kiln, worker)
    until(lambda: queues_of(kiln, "execute-1") == {"execute"}, what="one queue")
    assert worker.exits == []


def consuming_again(kiln: Installation, *, seconds: float) -> float:
    """How long it takes from now until a new execution has ended."""
    before = kiln.count("status = 'COMPLETED' AND input::text = '1'")
    kiln.submit([1])
    return until(
        lambda: kiln.count("status = 'COMPLETED' AND input::text = '1'") > before,
        seconds=seconds,
        what="the execution after the harm",
    )


def consumer_of(worker: Node) -> str:
    """How PostgreSQL knows the connection on which a worker consumes, and that on which it publishes."""
    return f"kiln broker %:{worker.pid}:%"


def reconnect(kiln: Installation, worker: Node) -> None:
    """Break the consumer's connection; returns when it has another."""
    assert terminate_backends(kiln.url, like=consumer_of(worker))
    consuming_again(kiln, seconds=60)


def queues_of(kiln: Installation, name: str) -> set[str]:
    """The queues that a worker consumes, without those of its own."""
    rows = kiln.rows("SELECT unnest(queues) FROM broker.consumers WHERE node LIKE %s", f"{name}@%")
    return {queue for (queue,) in rows if not queue.endswith(".pidbox") and not queue.startswith("celeryev")}
