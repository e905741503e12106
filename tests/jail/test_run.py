"""What a jailed program gets, how much it may have, and how its end is told."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.toolchains.jail import Bound, JailError, JailLimits, run
from tests.jail.programs import SYSTEM, python, shell


def test_the_environment_is_clean(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY", "secret")
    command = ["/usr/bin/env"]
    result = run(command, environment={"GIVEN": "yes"}, readable=SYSTEM, scratch=scratch)
    names = {line.partition("=")[0] for line in result.stdout.decode().splitlines()}
    assert names - {"PWD"} == {"GIVEN", "HOME", "TMPDIR", "LANG"}
    assert b"secret" not in result.stdout


def test_home_and_temporary_files_are_the_private_directory(scratch: Path) -> None:
    result = shell('pwd; echo "$HOME" "$TMPDIR"; stat -c %a .', scratch)
    directory, variables, mode = result.stdout.decode().splitlines()
    assert variables == f"{directory} {directory}"
    assert Path(directory).parent == scratch
    assert mode == "700"


def test_no_descriptor_of_the_worker_is_inherited(scratch: Path) -> None:
    leaked = os.open("/etc/hostname", os.O_RDONLY)
    os.set_inheritable(leaked, True)
    try:
        result = python(
            "import os\nfor n in range(256):\n  try: os.fstat(n); print(n)\n  except OSError: pass", scratch
        )
    finally:
        os.close(leaked)
    assert result.stdout.split() == [b"0", b"1", b"2"]


def test_input_comes_from_memory_whatever_its_size(scratch: Path) -> None:
    sent = os.urandom(1 << 20) * 4
    limits = JailLimits(stdout_bytes=len(sent))
    assert run(["/bin/cat"], stdin=sent, limits=limits, scratch=scratch).stdout == sent


def test_without_input_standard_input_is_at_its_end(scratch: Path) -> None:
    result = python("import sys; print(repr(sys.stdin.read()))", scratch)
    assert result.stdout == b"''\n"


def test_programs_follow_each_other_while_they_succeed(scratch: Path) -> None:
    one, two, fail = (["/bin/sh", "-c", program] for program in ("echo 1 > a", "cat a; exit 3", "kill -TERM $$"))
    result = run(one, two, ["/bin/echo", "never"], readable=SYSTEM, scratch=scratch)
    assert (result.returncode, result.stdout) == (3, b"1\n")
    assert run(fail, one, readable=SYSTEM, scratch=scratch).returncode == -15


def test_files_are_given_and_outputs_taken(scratch: Path) -> None:
    command = ["/bin/sh", "-c", "cat a > b; cat a a > c"]
    result = run(command, files={"a": b"\0text"}, outputs=["b", "c", "d"], readable=SYSTEM, scratch=scratch)
    assert result.outputs == {"b": b"\0text", "c": b"\0text\0text"}
    assert result.refused == {"d": "was not written"}


@pytest.mark.parametrize("name", ["../escape", "/tmp/escape", "folder/file", "", ".", "..", "nul\0"])
def test_a_file_outside_the_directory_is_never_written(scratch: Path, name: str) -> None:
    with pytest.raises(JailError):
        run(["/bin/true"], files={name: b""}, scratch=scratch)


def test_a_program_that_is_not_there_or_cannot_be_run_is_the_jails_error(scratch: Path) -> None:
    with pytest.raises(JailError, match="is not there"):
        run(["/nowhere/compiler"], scratch=scratch)
    with pytest.raises(JailError, match="could not be started"):
        run(["/etc/passwd"], scratch=scratch)
    with pytest.raises(JailError, match="is not there"):
        run(["/bin/true"], readable=[Path("/nowhere")], scratch=scratch)
    with pytest.raises(JailError, match="no job directory"):
        run(["/bin/true"], scratch=scratch / "absent")


def test_return_codes_and_signals_are_told_apart(scratch: Path) -> None:
    assert shell("exit 126", scratch).returncode == 126
    assert shell("kill -TERM $$", scratch).returncode == -15


def test_both_streams_are_read_at_once(scratch: Path) -> None:
    program = "import os\nfor _ in range(200):\n os.write(1, b'o' * 4096); os.write(2, b'e' * 4096)"
    result = python(program, scratch)
    assert (result.stdout, result.stderr) == (b"o" * 819_200, b"e" * 819_200)
    assert result.exceeded is None


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_endless_output_is_cut(scratch: Path, stream: str) -> None:
    result = shell("exec yes" if stream == "stdout" else "exec yes >&2", scratch)
    assert result.exceeded is Bound.OUTPUT
    assert len(getattr(result, stream)) == JailLimits().stdout_bytes


def test_a_file_beyond_the_limit_is_not_written(scratch: Path) -> None:
    limits = JailLimits(file_bytes=1 << 20)
    result = shell("exec head -c 9000000 /dev/zero > big", scratch, limits=limits)
    assert result.returncode != 0
    assert result.exceeded is Bound.OUTPUT


def test_memory_beyond_the_limit_is_not_given(scratch: Path) -> None:
    limits = JailLimits(data_bytes=128 << 20)
    result = python("bytearray(256 << 20)", scratch, limits=limits)
    assert result.returncode == 1
    assert b"MemoryError" in result.stderr


def test_processor_time_is_bounded_apart_from_the_wall_clock(scratch: Path) -> None:
    result = python("while True: pass", scratch, limits=JailLimits(cpu_seconds=1))
    assert result.exceeded is Bound.TIME
    assert result.duration_ms < JailLimits().wall_ms


def test_who_ignores_that_its_processor_time_is_over_is_killed_and_that_is_told(scratch: Path) -> None:
    program = "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass"
    result = python(program, scratch, limits=JailLimits(cpu_seconds=1))
    assert result.exceeded is Bound.TIME
    assert result.duration_ms < JailLimits().wall_ms


def test_descriptors_core_dumps_and_privileges_are_bounded(scratch: Path) -> None:
    program = (
        "import ctypes, resource as r; print(r.getrlimit(r.RLIMIT_NOFILE), r.getrlimit(r.RLIMIT_CORE));"
        "print(ctypes.CDLL(None).prctl(39, 0, 0, 0, 0))"
    )
    result = python(program, scratch, limits=JailLimits(open_files=99))
    assert result.stdout == b"(99, 99) (0, 0)\n1\n"


def test_a_fork_bomb_runs_out_of_processes(scratch: Path) -> None:
    program = "import os, time\nwhile True:\n  if os.fork() == 0: time.sleep(60)"
    result = python(program, scratch, limits=JailLimits(processes=16))
    assert b"BlockingIOError" in result.stderr


def test_the_memory_of_all_processes_together_is_bounded(scratch: Path) -> None:
    program = "import os, time\nfor _ in range(5): os.fork()\nheld = b'x' * (8 << 20); time.sleep(60)"
    result = python(program, scratch, limits=JailLimits(memory_bytes=96 << 20))
    assert result.exceeded is Bound.MEMORY
    assert result.duration_ms < JailLimits().wall_ms


def test_all_files_together_are_bounded(scratch: Path) -> None:
    program = "for one in $(seq 100); do head -c 1000000 /dev/zero > $one; done; sleep 60"
    result = shell(program, scratch, limits=JailLimits(files_bytes=8 << 20))
    assert result.exceeded is Bound.FILES
    assert result.duration_ms < JailLimits().wall_ms


def test_runs_from_many_threads_do_not_disturb_each_other(scratch: Path) -> None:
    sent = [str(number).encode() for number in range(16)]
    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(lambda text: run(["/bin/cat"], stdin=text, scratch=scratch), sent))
    assert [result.stdout for result in results] == sent
