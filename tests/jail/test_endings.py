"""Nothing that a jailed program starts outlives the run, however either of them ends."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from app.toolchains.jail import Bound, JailError, JailLimits, run, sweep
from tests.jail.programs import SYSTEM, shell

ROOT = Path(__file__).parents[2]
# Three ways to get out of a process group: a session of one's own, twice, and an orphan that ignores polite signals.
FAMILY = """
setsid sleep 1000 & echo $!
setsid sh -c 'setsid sleep 1000 & echo $!; sleep 1000' & echo $!
sh -c 'trap "" TERM HUP INT; (sleep 1000; sleep 1000) & echo $!' &
sleep 0.3
"""


def gone(pid: int) -> bool:
    """Whether a process has ended; a zombie has, whoever is to reap it."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def soon(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def test_the_wall_clock_ends_the_whole_family(scratch: Path) -> None:
    result = shell(FAMILY + "sleep 1000", scratch, limits=JailLimits(wall_ms=2000))
    pids = [int(line) for line in result.stdout.split()]
    assert result.exceeded is Bound.TIME
    assert len(pids) == 4
    assert all(map(gone, pids))


def test_what_is_left_at_a_normal_end_is_killed_and_not_waited_for(scratch: Path) -> None:
    result = shell(FAMILY, scratch)
    pids = [int(line) for line in result.stdout.split()]
    assert (result.returncode, result.exceeded) == (0, None)
    assert result.duration_ms < 10_000
    assert len(pids) == 4
    assert all(map(gone, pids))


def test_a_program_that_ignores_signals_ends_at_the_wall_clock(scratch: Path) -> None:
    program = 'trap "" TERM HUP INT QUIT; while :; do :; done'
    result = shell(program, scratch, limits=JailLimits(wall_ms=300))
    assert result.exceeded is Bound.TIME
    assert result.returncode == -signal.SIGKILL


def test_a_program_that_stops_itself_ends_at_the_wall_clock(scratch: Path) -> None:
    result = shell("kill -STOP $$", scratch, limits=JailLimits(wall_ms=300))
    assert result.exceeded is Bound.TIME


def test_a_program_dies_with_its_supervisor(scratch: Path) -> None:
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(shell, "sleep 1000; sleep 1000", scratch)
        found: list[psutil.Process] = []

        def started() -> bool:
            found[:] = psutil.Process().children(recursive=True)
            return any(process.name() == "sleep" for process in found)

        assert soon(lambda: _quiet(started))
        supervisor = next(process for process in found if process.ppid() == os.getpid())
        supervisor.kill()
        with pytest.raises(JailError, match="supervisor"):
            running.result()
    assert soon(lambda: all(gone(process.pid) for process in found))


def test_a_program_cannot_kill_its_supervisor(scratch: Path) -> None:
    result = shell("kill -KILL $PPID && echo killed", scratch)
    assert (result.returncode, result.stdout) == (1, b"")


def test_a_killed_worker_takes_the_program_with_it_and_a_sweep_removes_what_it_left(scratch: Path) -> None:
    # Given a worker whose program runs, with descendants in sessions of their own
    jail = f"shell({FAMILY + 'sleep 1000'!r}, Path({str(scratch)!r}))"
    code = f"from pathlib import Path; from tests.jail.programs import shell; {jail}"
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT) as worker:
        family: list[psutil.Process] = []

        def all_started() -> bool:
            family[:] = psutil.Process(worker.pid).children(recursive=True)
            return sum(process.name() == "sleep" for process in family) >= 4

        assert soon(lambda: _quiet(all_started))
        # When the worker is killed, and a sweep happens while the job directory is still owned
        assert sweep(scratch) == 0
        worker.send_signal(signal.SIGKILL)
    # Then everything ends, and the directory can be swept
    assert soon(lambda: all(gone(process.pid) for process in family))
    assert sweep(scratch) == 1


def _quiet(condition: Callable[[], bool]) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return condition()
    return False


def test_an_interrupted_run_leaves_nothing(scratch: Path) -> None:
    def interrupt(_signal: int, _frame: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        with pytest.raises(TimeoutError):
            run(["/bin/sleep", "1000"], readable=SYSTEM, scratch=scratch)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert not [child for child in psutil.Process(os.getpid()).children(recursive=True) if child.name() == "sleep"]
