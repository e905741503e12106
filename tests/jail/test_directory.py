"""What a program may leave in its directory, what of it is taken, and that all of it is removed."""

import os
from pathlib import Path

import pytest

from app.toolchains.jail import Bound, JailLimits, sweep
from tests.jail.programs import python, shell

SECRET = b"not for the author"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_bytes(SECRET)
    return path


@pytest.mark.parametrize(
    "plant",
    [
        "ln -s {secret} out",
        "ln -s /dev/zero out",
        "mkdir out",
        "echo x > other; ln other out",
        "ln -s out out",
    ],
)
def test_an_output_that_is_not_a_plain_file_is_refused(scratch: Path, secret: Path, plant: str) -> None:
    result = shell(plant.format(secret=secret), scratch, outputs=["out"])
    assert result.returncode == 0
    assert result.outputs == {}
    assert result.refused == {"out": "is not a plain file"}
    assert secret.read_bytes() == SECRET


def test_an_output_that_is_too_large_is_refused(scratch: Path) -> None:
    limits = JailLimits(output_bytes=1000)
    assert shell("head -c 1000 /dev/zero > out", scratch, outputs=["out"], limits=limits).outputs == {
        "out": bytes(1000)
    }
    result = shell("head -c 1001 /dev/zero > out", scratch, outputs=["out"], limits=limits)
    assert result.refused == {"out": "is larger than 1000 bytes"}
    assert result.exceeded is Bound.OUTPUT


def test_whatever_a_program_leaves_is_removed(scratch: Path, secret: Path) -> None:
    inside_out = f"""
import os
os.symlink({str(secret.parent)!r}, "folder-link")
os.symlink({str(secret)!r}, "file-link")
open(b"\\xff\\xfe name", "w").close()
os.makedirs("locked/inner/most")
open("locked/inner/file", "w").close()
os.chmod("locked/inner", 0)
os.chmod("locked", 0)
for _ in range(3000):
    os.mkdir("deep")
    os.chdir("deep")
open("bottom", "w").close()
"""
    result = python(inside_out, scratch)
    assert result.stderr == b""
    assert result.exceeded in {None, Bound.FILES}
    assert list(scratch.iterdir()) == []
    assert secret.read_bytes() == SECRET


def test_a_directory_that_locks_itself_is_removed(scratch: Path) -> None:
    assert shell("echo x > file; chmod 0 .", scratch).returncode == 0


def test_a_sweep_follows_no_link_and_touches_nothing_else(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").touch()
    scratch = tmp_path / "scratch"
    dead = scratch / "kiln-job-dead"
    dead.mkdir(parents=True)
    (dead / "link").symlink_to(precious)
    (scratch / "kiln-job-link").symlink_to(precious)
    (scratch / "other").mkdir()
    assert sweep(scratch) == 1
    assert {path.name for path in scratch.iterdir()} == {"kiln-job-link", "other"}
    assert (precious / "file").exists()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a directory away")
def test_a_sweep_leaves_other_users_directories(tmp_path: Path) -> None:
    foreign = tmp_path / "kiln-job-foreign"
    foreign.mkdir()
    os.chown(foreign, 65534, 65534)
    assert sweep(tmp_path) == 0
    assert foreign.exists()
