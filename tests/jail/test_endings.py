"""Nothing that a jailed program starts outlives the run, however either of them ends."""

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
#: In its command line, so that it is found from outside, where it has another process id.
MARK = f"1000.{os.getpid()}"
# Three ways to get out of a process group: a session of one's own, twice, and an orphan that ignores polite signals.
FAMILY = f"""
setsid sleep {MARK} & echo started
setsid sh -c 'setsid sleep {MARK} & echo started; sleep {MARK}' & echo started
sh -c 'trap "" TERM HUP INT; (sleep {MARK}; sleep {MARK}) & echo started' &
sleep 0.3
"""


def family() -> list[psutil.Process]:
    """What runs of it, as seen from outside."""
    return [process for process in psutil.process_iter(["cmdline"]) if MARK in (process.info["cmdline"] or ())]


def soon(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def test_the_wall_clock_ends_the_whole_family(scratch: Path) -> None:
    result = shell(FAMILY + f"sleep {MARK}", scratch, limits=JailLimits(wall_ms=2000))
    assert (result.exceeded, result.stdout.count(b"started")) == (Bound.TIME, 4)
    assert soon(lambda: not family())


def test_what_is_left_at_a_normal_end_is_killed_and_not_waited_for(scratch: Path) -> None:
    result = shell(FAMILY, scratch)
    assert (result.returncode, result.exceeded, result.stdout.count(b"started")) == (0, None, 4)
    assert result.duration_ms < 10_000
    assert soon(lambda: not family())


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
        running = threads.submit(shell, f"sleep {MARK}; true", scratch)
        assert soon(lambda: bool(family()))
        (supervisor,) = (process for process in family()[0].parents() if process.ppid() == os.getpid())
        supervisor.kill()
        with pytest.raises(JailError, match="supervisor"):
            running.result()
    assert soon(lambda: not family())


def test_a_program_cannot_kill_its_supervisor(scratch: Path) -> None:
    result = shell("kill -KILL $PPID && echo killed", scratch)
    assert (result.returncode, result.stdout) == (1, b"")


def test_a_killed_worker_takes_the_program_with_it_and_a_sweep_removes_what_it_left(
    scratch: Path, wrapped: bool
) -> None:
    # Given a worker whose program runs, with descendants in sessions of their own
    code = f"""
from pathlib import Path
from app.toolchains.jail import wrapping
from tests.jail.programs import shell
wrapping.works = lambda: {wrapped}
shell({FAMILY + f"sleep {MARK}"!r}, Path({str(scratch)!r}))
"""
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT) as worker:
        assert soon(lambda: sum(process.name() == "sleep" for process in family()) >= 4)
        # When the worker is killed, and a sweep happens while the job directory is still owned
        assert sweep(scratch) == 0
        worker.send_signal(signal.SIGKILL)
    # Then everything ends, and the directory can be swept
    assert soon(lambda: not family())
    assert sweep(scratch) == 1


def test_an_interrupted_run_leaves_nothing(scratch: Path) -> None:
    def interrupt(_signal: int, _frame: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        with pytest.raises(TimeoutError):
            run(["/bin/sleep", MARK], readable=SYSTEM, scratch=scratch)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert soon(lambda: not family())


def test_nothing_is_left_for_others_to_wait_for(scratch: Path, wrapped: bool) -> None:
    """In a container there may be nobody who waits for orphans, and each would stay for good."""
    # Given a worker to whom orphans come
    code = f"""
from pathlib import Path
from app.toolchains.jail import JailLimits, wrapping
from app.toolchains.jail.inside.descendants import descendants
from app.toolchains.jail.inside.main import PR_SET_CHILD_SUBREAPER, prctl
from tests.jail.programs import shell
wrapping.works = lambda: {wrapped}
prctl(PR_SET_CHILD_SUBREAPER, 1)
# When programs end by themselves, by the wall clock, before they have begun, and by what they write
for program, limits in [
    ({FAMILY!r}, JailLimits()),
    ("sleep {MARK}", JailLimits(wall_ms=500)),
    ("sleep {MARK}", JailLimits(wall_ms=1)),
    ("yes", JailLimits()),
]:
    print(shell(program, Path({str(scratch)!r}), limits=limits).exceeded, descendants())
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    # Then none of them, and of their supervisors, is left
    assert done.stdout.splitlines() == ["None set()", "time set()", "time set()", "output set()"]


def test_no_process_group_is_killed_by_a_number_of_another_namespace(
    scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within bubblewrap the program is number 2, and that is somebody else out here."""
    killed: list[int] = []
    monkeypatch.setattr(os, "killpg", lambda group, _signal: killed.append(group))
    result = shell(f"sleep {MARK}", scratch, limits=JailLimits(wall_ms=1000))
    assert (result.exceeded, killed) == (Bound.TIME, [])
    assert soon(lambda: not family())
