"""What a process keeps between executions, and what it must not."""

import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
import wasmtime

from app.wasm.engine import configuration_key, engine
from app.wasm.errors import AlreadyRunning, EngineFailed
from app.wasm.limits import Limits
from app.wasm.outcome import Failure
from app.wasm.run import run
from tests.wasm.leftovers import FINDS, alternations, end
from tests.wasm.modules import ECHO, invoke, memory_abi, module_of

ROOT = Path(__file__).resolve().parents[2]


def python(program: str) -> subprocess.CompletedProcess[str]:
    """Runs a program in the repository, where forking does no harm to the tests' own threads."""
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


FORK = """
import os
from app.wasm.limits import Limits
from app.wasm.engine import engine
from tests.wasm.leftovers import FINDS, alternations, end
from tests.wasm.modules import ECHO, invoke, memory_abi
endless = memory_abi("(loop $l (br $l)) unreachable")
brief = Limits(timeout_ms=100)
assert invoke(ECHO).output == "{}"
assert invoke(endless, limits=brief).failure == "TIMEOUT"
mine = engine()
for _ in range(3):
    child = os.fork()
    if child == 0:
        assert engine() is not mine
        assert invoke(endless, limits=brief).failure == "TIMEOUT"
        assert invoke(ECHO).output == "{}"
        print("child", flush=True)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
assert engine() is mine
assert invoke(endless, limits=brief).failure == "TIMEOUT"
print("parent")
"""


def test_a_forked_child_runs_after_its_parent_ran() -> None:
    done = python(FORK)

    assert done.stdout.split() == ["child", "child", "child", "parent"], done.stderr


STUCK = """
import time
from app.wasm.engine import engine
from app.wasm.watchdog import Watchdog
watchdog = Watchdog(engine(), grace_seconds=0.2)
watchdog.arm(time.monotonic() + 0.1)
time.sleep(30)
"""


def test_a_guest_that_cannot_be_interrupted_ends_its_process() -> None:
    done = python(STUCK)

    assert done.returncode == -signal.SIGKILL
    assert "could not be interrupted" in done.stderr


def test_a_module_of_another_engine_is_refused_and_nothing_crashes() -> None:
    foreign = wasmtime.Module(wasmtime.Engine(), ECHO)
    with pytest.raises(EngineFailed):
        run(foreign, "{}", limits=Limits(), context={}, environment={})


def test_only_one_function_runs_in_a_process_at_a_time() -> None:
    endless = module_of(memory_abi("(loop $l (br $l)) unreachable"))
    first = threading.Thread(
        target=run, args=(endless, "{}"), kwargs={"limits": Limits(timeout_ms=1_000), "context": {}, "environment": {}}
    )
    first.start()
    second = module_of(ECHO)
    time.sleep(0.1)
    with pytest.raises(AlreadyRunning):
        run(second, "{}", limits=Limits(), context={}, environment={})
    first.join()
    assert run(second, "{}", limits=Limits(), context={}, environment={}).output == "{}"


def test_nothing_of_a_function_is_left_for_the_next() -> None:
    assert Counter(alternations(100)) == {"completed": 300}


@pytest.mark.parametrize("place", FINDS)
def test_what_was_left_would_be_found(place: str) -> None:
    """Must fail: what looks after its own writing."""
    assert end(module_of(FINDS[place])) != "completed"


def test_memory_and_time_are_reported() -> None:
    outcome = invoke(memory_abi("(drop (memory.grow (i32.const 3))) (i64.const 0)"))

    assert outcome.failure is Failure.INVALID_OUTPUT
    assert outcome.memory_peak_bytes == 4 * 65_536
    assert outcome.duration_ms > 0
    assert outcome.fuel_used is None


def test_the_engine_and_the_name_of_its_target_are_stable() -> None:
    assert engine() is engine()
    assert configuration_key() == configuration_key()
    assert len(configuration_key()) == 16
