"""The jail is sound on this machine, and the probe that says so sees where it is not."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.toolchains.jail import probe, supervise, wrapping

INSIDE = Path(supervise.INSIDE)

#: What stands in the place of a layer that is off.
OFF = {
    "landlock": "READ = WRITE = 0\ndef restrict(granted): return False",
    "seccomp": "def restrict(): return False",
    "privileges": "def drop(user, directory, needed): pass",
}


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    """What is found of a jail with a layer off is no other test's."""
    probe.breaches.cache_clear()
    yield
    probe.breaches.cache_clear()


def test_a_jailed_program_can_do_nothing_that_it_must_not() -> None:
    assert probe.breaches() == ()
    assert probe.unsound() is None


def test_without_a_jail_the_probe_sees_what_can_be_done() -> None:
    with probe.neighbour() as arguments:
        command = [sys.executable, "-I", "-S", "-c", probe.ATTEMPTS, *arguments]
        worked = set(json.loads(subprocess.run(command, capture_output=True, check=True).stdout))
    assert {"read another's file", "see other processes", "write into /tmp", "have a variable"} <= worked
    assert {"connect by TCP", "send by UDP", "connect to an abstract socket", "signal the worker"} <= worked


@pytest.mark.parametrize(
    ("layer", "breach"),
    [
        ("landlock", "read another's file"),
        ("landlock", "see other processes"),
        ("seccomp", "send by UDP"),
        ("seccomp", "make a pair of datagram sockets"),
        pytest.param(
            *("privileges", "have a privilege"),
            marks=pytest.mark.skipif(os.getuid() != 0, reason="who is not root has no privileges to give up"),
        ),
    ],
)
def test_without_one_of_its_layers_the_probe_sees_what_that_one_refused(
    layer: str, breach: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Must fail: with a layer off, the jail is not sound."""
    monkeypatch.setattr(wrapping, "works", lambda: False)
    copy = tmp_path / "app" / "toolchains" / "jail" / "inside"
    shutil.copytree(INSIDE.parent, copy)
    (copy / f"{layer}.py").write_text(OFF[layer])
    monkeypatch.setattr(supervise, "INSIDE", str(copy / INSIDE.name))
    assert breach in probe.breaches()
    assert breach in str(probe.unsound())
