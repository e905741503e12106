"""R3: compile workers are killed while they compile, and so are the jails' children alone."""

import dataclasses
import signal
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.chaos.conftest import Report
from tests.chaos.fleet import Node
from tests.chaos.installation import Installation
from tests.chaos.nemesis import Nemesis
from tests.chaos.scale import Scale
from tests.patience import came_true, until
from tests.programs import NAP

_PATIENCE_SECONDS = 8


@pytest.mark.promise("R3", "Every accepted version is compiled or says why not, however many workers are killed.")
def test_what_was_registered_is_compiled_however_many_workers_are_killed(
    kiln: Installation, report: Report, scale: Scale, tmp_path: Path
) -> None:
    versions, kill_every, kills = scale(20, 300), scale(0.8, 1.5), scale(4, 100)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    worker = kiln.fleet.worker("compile-1", queue="compile", concurrency=2, TMPDIR=str(scratch))
    jails = 0

    def kill() -> None:
        nonlocal jails
        if nemesis.acts % 2:
            worker.kill()
        else:
            # Between two compilations there is none, and after a worker's end not for seconds.
            jails += came_true(lambda: kill_jails(worker) > 0, seconds=_PATIENCE_SECONDS)

    with Nemesis(kill, every_seconds=kill_every, most=kills) as nemesis:
        for number in range(versions):
            kiln.clients.register(f"nap-{number}", "wat", f"{NAP} ;; {number}")
        until(lambda: ended(kiln, "READY", "FAILED") == versions, seconds=scale(60, 600), what="the last compilation")
    # Nothing is left of those that were killed: the next worker removes it when it starts.
    worker.terminate()
    kiln.fleet.ready([worker])
    until(lambda: not list(scratch.glob("kiln-job-*")), seconds=10, what="an empty scratch directory")
    verdict = dataclasses.replace(kiln.verdict(), attempts=versions, acknowledged=versions, ok=versions)
    ((again,),) = kiln.rows("SELECT count(*) FROM versions WHERE compile_attempts > 1")
    given_up = ended(kiln, "FAILED")
    assert jails > 0
    remarks = f"{nemesis.acts // 2} workers and {jails} jails killed, {given_up} given up after three losses"
    report(dataclasses.replace(verdict, duplicated=again), remarks)


def test_without_leases_taken_back_a_killed_compilation_is_lost(kiln: Installation) -> None:
    """Must fail: what was in the killed worker's hands stays there."""
    worker = kiln.fleet.worker("compile-1", queue="compile", concurrency=1, broken="hoarding")
    kiln.clients.register("echo", "assemblyscript", "export function handle(input: string): string { return input; }")
    until(lambda: kiln.rows("SELECT FROM versions WHERE status = 'COMPILING'"))
    worker.kill()
    kiln.await_rest(seconds=6)
    assert "I8" in kiln.verdict(seconds=0).broken
    assert kiln.rows("SELECT FROM versions WHERE status = 'COMPILING'")


def ended(kiln: Installation, *statuses: str) -> int:
    """How many of the test's versions have come to such an end."""
    ((count,),) = kiln.rows(
        "SELECT count(*) FROM versions JOIN functions ON id = function_id "
        "WHERE name LIKE 'nap-%%' AND versions.status = ANY(%s)",
        list(statuses),
    )
    return int(count)


def kill_jails(worker: Node) -> int:
    """`kill -9` of what a worker's children have started; answers how many processes."""
    killed = 0
    for child in worker.children:
        for process in _descendants(child):
            # Those that end with another that was killed are not counted.
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
                killed += 1
    return killed


def _descendants(child: psutil.Process) -> list[psutil.Process]:
    try:
        return list(child.children(recursive=True))
    except psutil.NoSuchProcess:
        return []
