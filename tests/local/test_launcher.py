import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.local import checks
from app.local.errors import AccessDenied, DatabaseUnreachable, DiskFull
from app.local.locks import FileLock
from tests.local.conftest import alive, eventually, is_root

REPOSITORY = Path(__file__).parents[2]
PROGRAMS = Path(__file__).with_name("programs.py")


class Run:
    """A launcher in a process of its own, what it prints and what its processes noted."""

    def __init__(self, home: Path, *processes: list[Any], **wanted: Any) -> None:
        self.notes_path = home.parent / "notes"
        self.output_path = home.parent / f"output-{os.urandom(4).hex()}"
        self.port = wanted.pop("port", None) or free_port()
        given = {"port": self.port, "processes": [["web", ["web", str(self.port)], 10, 0], *processes], **wanted}
        environment = os.environ | {
            "KILN_HOME": str(home),
            "NOTES": str(self.notes_path),
            "PYTHONPATH": str(REPOSITORY),
        }
        with self.output_path.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, PROGRAMS, "launch", json.dumps(given)],
                stdout=output,
                stderr=output,
                env=environment,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self.output_path.read_text()

    @property
    def notes(self) -> list[str]:
        return self.notes_path.read_text().splitlines() if self.notes_path.exists() else []

    def noted(self, word: str) -> list[int]:
        """The process ids that were noted after `word`."""
        return [int(line.split()[1]) for line in self.notes if line.startswith(f"{word} ")]

    def ready(self) -> "Run":
        assert eventually(lambda: "Kiln is ready" in self.output or self.process.poll() is not None)
        assert "Kiln is ready" in self.output, self.output
        return self

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def children_of(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(line) for line in listed.stdout.split()]


@pytest.fixture
def started(home: Path) -> Iterator[list[Run]]:
    """Runs to be ended with the test, whatever happened."""
    runs: list[Run] = []
    yield runs
    for run in runs:
        if run.process.poll() is None:
            run.process.kill()
            run.process.wait()


def test_everything_starts_and_stops_in_order_with_the_database_last(home: Path, started: list[Run]) -> None:
    run = Run(home, ["worker", ["worker", "0.5"], 10, 1], release=["true"])
    started.append(run)
    run.ready()
    children = children_of(run.process.pid)
    assert len(children) == 3
    assert re.search(r"ok   postgresql 18\.\d+ +\d+\.\d s", run.output)
    assert run.stop(signal.SIGINT) == 0
    assert run.notes[-2:] == ["web stopped", "worker stopped, database there"]
    assert not any(alive(pid) for pid in children)
    assert "ok   stopped" in run.output


def test_the_examples_are_registered_once_and_one_is_shown_as_a_command(home: Path, started: list[Run]) -> None:
    for _ in range(2):
        run = Run(home)
        started.append(run)
        run.ready()
        run.stop()
        line = next(line for line in run.output.splitlines() if "curl" in line)
        assert shlex.split(line)[-1] == '{"input":{"name":"Ada"}}'
        assert f"http://127.0.0.1:{run.port}/functions/0199/execute" in line
    assert run.notes.count("seeded") == 1


def test_it_is_ready_when_flower_listens_and_says_where(home: Path, started: list[Run]) -> None:
    run = Run(home, ["flower", ["flower", "1"], 10, 1])
    started.append(run)
    run.ready()
    assert "flower listens" in run.notes
    assert f"Flower: http://127.0.0.1:{run.port}/flower" in run.output
    assert run.stop() == 0


def test_a_process_that_died_is_started_again(home: Path, started: list[Run]) -> None:
    run = Run(home, ["worker", ["worker"], 10, 1])
    started.append(run)
    run.ready()
    assert eventually(lambda: run.notes.count("worker started") == 1)
    worker = next(
        pid
        for pid in children_of(run.process.pid)
        if b"worker" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    )
    os.kill(worker, signal.SIGKILL)
    assert eventually(lambda: run.notes.count("worker started") == 2)
    assert "worker ended (signal 9 (SIGKILL)); it starts again in 1 s" in run.output
    assert run.stop() == 0


def test_a_database_that_died_is_started_again(home: Path, started: list[Run]) -> None:
    run = Run(home)
    started.append(run)
    run.ready()
    os.kill(int((home / "postgres/postmaster.pid").read_text().split()[0]), signal.SIGKILL)
    assert eventually(lambda: "postgresql started again" in run.output)
    assert run.stop() == 0


def test_who_ignores_the_request_to_stop_is_killed_with_all_it_started(home: Path, started: list[Run]) -> None:
    run = Run(home, ["stubborn", ["stubborn"], 0.5, 1])
    started.append(run)
    run.ready()
    assert eventually(lambda: len(run.noted("stubborn")) == 1)
    assert run.stop() == 0
    assert len(run.noted("grandchild")) == 2
    assert not any(alive(pid) for pid in run.noted("stubborn") + run.noted("grandchild"))


def test_a_second_interrupt_ends_it_at_once(home: Path, started: list[Run]) -> None:
    run = Run(home, ["stubborn", ["stubborn"], 600, 1])
    started.append(run)
    run.ready()
    assert eventually(lambda: len(run.noted("stubborn")) == 1)
    run.process.send_signal(signal.SIGINT)
    assert eventually(lambda: "waiting for what is running to end: stubborn" in run.output)
    assert run.process.poll() is None
    assert run.stop(signal.SIGINT) == 0
    assert not any(alive(pid) for pid in run.noted("stubborn"))


def test_an_interrupt_during_the_start_stops_what_was_started(home: Path, started: list[Run]) -> None:
    run = Run(home, release=["sleep", "600"])
    started.append(run)
    assert eventually(lambda: "postgresql" in run.output)
    children = children_of(run.process.pid)
    assert run.stop(signal.SIGINT) == 0
    assert not any(alive(pid) for pid in children)


def test_nothing_is_left_when_the_launcher_is_killed_and_it_starts_again(home: Path, started: list[Run]) -> None:
    run = Run(home, ["worker", ["worker"], 10, 1])
    started.append(run)
    run.ready()
    children = children_of(run.process.pid)
    run.process.kill()
    run.process.wait()
    assert eventually(lambda: not any(alive(pid) for pid in children))
    again = Run(home, port=run.port)
    started.append(again)
    again.ready()
    assert again.stop() == 0


def test_a_port_that_is_taken_is_named_before_anything_starts(home: Path, started: list[Run]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        run = Run(home, port=port)
        started.append(run)
        assert run.process.wait(20) == 1
    assert f"127.0.0.1:{port}" in run.output
    assert "PORT=8000 make up" in run.output
    assert "Traceback" not in run.output
    assert not (home / "postgres").exists()


def test_a_home_that_another_launcher_holds_is_named(home: Path, started: list[Run]) -> None:
    home.mkdir()
    lock = FileLock(home / "launcher.lock")
    assert lock.take()
    run = Run(home)
    started.append(run)
    assert run.process.wait(20) == 1
    assert f"{home} is held by process {os.getpid()}" in run.output
    lock.release()


def test_a_process_that_never_comes_up_is_shown_with_the_end_of_its_log(home: Path, started: list[Run]) -> None:
    port = free_port()
    run = Run(home, ["broken", ["broken"], 10, 1], processes=[["web", ["broken"], 10, 0]], port=port)
    started.append(run)
    assert run.process.wait(30) == 1
    assert "the web could not find its shoes" in run.output
    assert "Traceback" not in run.output


def test_a_migration_that_fails_is_shown(home: Path, started: list[Run]) -> None:
    run = Run(home, release=[sys.executable, "-c", "raise SystemExit('column is in the way')"])
    started.append(run)
    assert run.process.wait(20) == 1
    assert "column is in the way" in run.output


def test_a_database_that_does_not_answer_is_named_without_its_password(home: Path, started: list[Run]) -> None:
    run = Run(home, database_url=f"postgresql://kiln:secret@127.0.0.1:{free_port()}/orders")
    started.append(run)
    assert run.process.wait(20) == 1
    assert "127.0.0.1, database orders" in run.output
    assert "secret" not in run.output


def test_an_unreadable_url_does_not_show_its_password() -> None:
    with pytest.raises(DatabaseUnreachable) as caught:
        checks.check_database("postgresql://kiln:secret@[/x")
    assert "secret" not in str(caught.value)


def test_a_full_disk_is_named_before_anything_starts(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "_LEAST_FREE_BYTES", 1 << 60)
    with pytest.raises(DiskFull, match="MB left"):
        checks.check_home(home)


@pytest.mark.skipif(is_root(), reason="root may write everywhere")
def test_a_home_that_may_not_be_written_is_named(home: Path) -> None:
    home.mkdir(mode=0o500)
    with pytest.raises(AccessDenied, match=str(home)):
        checks.check_home(home)
