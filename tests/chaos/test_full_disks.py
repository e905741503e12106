"""R11: disks are full."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.local.postgres import EmbeddedPostgres
from tests.chaos.conftest import Report, copied, prepare
from tests.chaos.installation import Installation, Prepared
from tests.chaos.scale import Scale
from tests.conftest import release
from tests.patience import until

#: What the server needs, and room for a moment's work.
_SIZE_MB = 600


@contextmanager
def small_disk(where: Path, size_mb: int) -> Iterator[Path]:
    """A file system of its own, in memory."""
    where.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size_mb}m,mode=0700", "tmpfs", str(where)],
        check=False,
        capture_output=True,
        text=True,
    )
    if mounted.returncode != 0:
        pytest.skip(f"a small disk cannot be made here: {mounted.stderr.strip()}")
    try:
        yield where
    finally:
        subprocess.run(["umount", "--lazy", str(where)], check=True)


@contextmanager
def full(disk: Path) -> Iterator[None]:
    """Nothing more can be written there while the block runs."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 20))
        except OSError:
            pass
    try:
        yield
    finally:
        os.truncate(filler, 0)
        filler.unlink()


@pytest.mark.promise("R11", "While a disk is full requests are refused and nothing is lost; then all resumes.")
def test_while_the_databases_disk_is_full_requests_are_refused(tmp_path: Path, report: Report, scale: Scale) -> None:
    rounds, seconds = scale(1, 5), scale(6, 20)
    with small_disk(tmp_path / "disk", _SIZE_MB) as disk, EmbeddedPostgres(disk / "kiln", superuser=True) as server:
        url, home = server.url(), tmp_path / "home"
        key = release(url, home)
        kiln = copied(server, Prepared("kiln", prepare(url, home), key), tmp_path)
        try:
            refused = broken(kiln, server, disk, rounds=rounds, seconds=seconds)
            verdict = kiln.verdict(seconds=90)
            assert kiln.clients.problems == []
            assert refused > 0
            report(verdict, f"{rounds} times full, {refused} requests refused")
        finally:
            kiln.close()


def broken(kiln: Installation, server: EmbeddedPostgres, disk: Path, *, rounds: int, seconds: float) -> int:
    """Let clients write while the disk is full, and look after the server as the launcher does; answers how many
    requests were refused.
    """
    kiln.fleet.workers(1)
    kiln.submit([0] * 20)
    for _ in range(rounds):
        with kiln.writing(clients=4):
            with full(disk):
                deadline = time.monotonic() + seconds
                while time.monotonic() < deadline:
                    look_after(server)
                    time.sleep(0.2)
            until(lambda: look_after(server), seconds=30, what="the server")
            work_again(kiln)
    return sum(answer != "accepted" for _, answer, _ in kiln.ledger.entries())


def work_again(kiln: Installation) -> None:
    """Wait until something more has ended well."""
    ended = kiln.count("status = 'COMPLETED'")
    until(lambda: kiln.count("status = 'COMPLETED'") > ended, seconds=60, what="work again")


def look_after(server: EmbeddedPostgres) -> bool:
    """Start the server again where it has ended; answers whether it runs."""
    if server.poll() is None:
        return True
    try:
        server.start()
    except Exception:  # noqa: BLE001 - there is no room for it yet
        return False
    return True


def test_a_worker_whose_disk_is_full_leaves_its_work_to_others(kiln: Installation, tmp_path: Path) -> None:
    with small_disk(tmp_path / "home", 300) as disk:
        kiln.fleet.worker("execute-1", KILN_HOME=str(disk))
        with full(disk):
            kiln.fleet.worker("execute-2", KILN_HOME=str(tmp_path / "other"))
            kiln.submit([5] * 40)
            verdict = kiln.verdict(seconds=90)
        assert kiln.count("status = 'COMPLETED'") == 40
        verdict.assert_kept()
        kiln.fleet.stop()
