"""Jobs in control groups of their own, in groups that were delegated as systemd delegates them."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.toolchains.jail import groups, wrapping
from tests.jail.programs import SYSTEM

_MOUNTS = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines() if line.split()[2] == "cgroup2"]

pytestmark = pytest.mark.skipif(
    os.getuid() != 0 or not _MOUNTS, reason="only root makes groups outside of systemd, where there are any"
)


def _gives(controller: str) -> bool:
    return bool(_MOUNTS) and controller in (Path(_MOUNTS[0]) / "cgroup.controllers").read_text().split()


#: A worker of which only the jail is real: it runs one program, and prints how that ended.
_WORKER = """
import sys
from pathlib import Path
from app.toolchains.jail import JailLimits, run, wrapping
wrapped, scratch, program, memory, readable = sys.argv[1:]
wrapping.works = lambda: wrapped == "True"
limits = JailLimits(memory_bytes=int(memory), processes=16, wall_ms=5000)
paths = [Path(path) for path in readable.split(":")]
result = run(["/bin/sh", "-c", program], readable=paths, limits=limits, scratch=Path(scratch))
print(result.returncode, result.exceeded, result.stdout.decode())
"""


@pytest.fixture
def delegated() -> Iterator[Path]:
    """A group in which groups may be made, with one for workers."""
    folder = Path(_MOUNTS[0]) / f"kiln-test-{os.getpid()}"
    (folder / "workers").mkdir(parents=True)
    os.setxattr(folder, "user.delegate", b"1")
    given = [name for name in ("memory", "pids") if _gives(name)]
    for name in given:
        (folder.parent / "cgroup.subtree_control").write_text(f"+{name}")
    yield folder
    for path in (*folder.glob("*/"), folder):
        remove(path)


def remove(group: Path) -> None:
    """What was killed may be still on its way out."""
    deadline = time.monotonic() + 10
    while True:
        try:
            return group.rmdir()
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def worker(
    delegated: Path, program: str, scratch: Path, *, wrapped: bool, memory_bytes: int = 512 << 20
) -> subprocess.Popen[str]:
    enter = f'echo $$ > {delegated}/workers/cgroup.procs && exec "$@"'
    readable = ":".join(map(str, SYSTEM))
    arguments = [str(wrapped), str(scratch), program, str(memory_bytes), readable]
    command = ["/bin/sh", "-c", enter, "sh", sys.executable, "-c", _WORKER, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])


def jobs(delegated: Path) -> dict[Path, list[str]]:
    """The processes of each job's group."""
    found = {}
    for path in delegated.glob(f"{groups.PREFIX}*"):
        try:
            found[path] = (path / "cgroup.procs").read_text().split()
        except OSError:
            continue
    return found


def running(delegated: Path, count: int) -> dict[Path, list[str]]:
    """The jobs, as soon as they have so many processes."""
    deadline = time.monotonic() + 20
    while sum(map(len, jobs(delegated).values())) < count:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return jobs(delegated)


def test_a_job_is_in_a_group_of_its_own_that_is_gone_afterwards(delegated: Path, scratch: Path, wrapped: bool) -> None:
    process = worker(delegated, "sleep 1 & sleep 1 & wait; echo done", scratch, wrapped=wrapped)
    (members,) = running(delegated, 3).values()
    assert str(process.pid) not in members
    assert process.communicate(timeout=20)[0].split() == ["0", "None", "done"]
    assert jobs(delegated) == {}


def test_whatever_is_in_the_group_ends_with_the_job(delegated: Path, scratch: Path, wrapped: bool) -> None:
    process = worker(delegated, "sleep 2; echo done", scratch, wrapped=wrapped)
    (group,) = running(delegated, 2)
    stranger = subprocess.Popen(["/bin/sleep", "60"])
    (group / "cgroup.procs").write_text(str(stranger.pid))
    assert process.communicate(timeout=20)[0].split() == ["0", "None", "done"]
    assert stranger.wait(10) < 0
    assert jobs(delegated) == {}


def test_what_a_killed_worker_left_is_swept(
    delegated: Path, scratch: Path, wrapped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = worker(delegated, "sleep 60", scratch, wrapped=wrapped)
    assert len(running(delegated, 1)) == 1
    process.kill()
    process.communicate()
    monkeypatch.setattr(groups, "_delegated", lambda: delegated)
    assert groups.sweep() == 1
    assert jobs(delegated) == {}
    for path in scratch.iterdir():
        path.rmdir()


def test_without_delegation_there_is_no_group(delegated: Path, scratch: Path, wrapped: bool) -> None:
    os.removexattr(delegated, "user.delegate")
    process = worker(delegated, "sleep 1; echo done", scratch, wrapped=wrapped)
    assert process.communicate(timeout=20)[0].split() == ["0", "None", "done"]
    assert not (wrapped and not wrapping.works())


@pytest.mark.skipif(not _gives("memory"), reason="memory is counted by groups of version 1 here")
def test_the_kernel_ends_what_takes_too_much_memory(delegated: Path, scratch: Path, wrapped: bool) -> None:
    program = "head -c 800000000 /dev/zero | tail"
    process = worker(delegated, program, scratch, wrapped=wrapped, memory_bytes=64 << 20)
    assert process.communicate(timeout=30)[0].split()[1] == "memory"
    assert jobs(delegated) == {}


@pytest.mark.skipif(not _gives("pids"), reason="processes are counted by groups of version 1 here")
def test_the_kernel_refuses_more_processes(delegated: Path, scratch: Path, wrapped: bool) -> None:
    process = worker(delegated, "for one in $(seq 40); do sleep 3 & done; wait", scratch, wrapped=wrapped)
    (group,) = running(delegated, 10)
    assert (group / "pids.max").read_text() == "16\n"
    process.communicate()
    assert jobs(delegated) == {}
