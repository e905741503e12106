"""R17: processes of this version and of the one before work side by side, on the database of this one."""

import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.chaos.conftest import Report
from tests.chaos.fleet import ROOT
from tests.chaos.installation import Installation
from tests.chaos.scale import Scale

#: The version before: a commit.
BEFORE = (Path(__file__).parent / "before.txt").read_text().strip()


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its code."""
    packed = subprocess.run(["git", "archive", BEFORE], cwd=ROOT, check=False, capture_output=True)
    if packed.returncode != 0:
        pytest.skip(f"the history does not reach the version before: {packed.stderr.decode().strip()}")
    directory = tmp_path_factory.mktemp("before")
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(directory, filter="data")
    return directory


@pytest.mark.promise("R17", "This version and the one before work side by side, in both directions.")
def test_two_versions_work_side_by_side(kiln: Installation, before: Path, report: Report, scale: Scale) -> None:
    each = scale(60, 2_000)
    # What the old web server accepted while there was no worker is done by a new one, and the other way round.
    old, new = kiln.clients_of(kiln.fleet.web(root=before)), kiln.clients
    old.submit(kiln.functions["nap"], [5] * each)
    kiln.fleet.worker("execute-1")
    assert kiln.await_rest(seconds=scale(60, 300))
    kiln.fleet.nodes[-1].respawn = False
    kiln.fleet.nodes[-1].terminate()
    new.submit(kiln.functions["nap"], [5] * each)
    kiln.fleet.worker("execute-2", root=before)
    assert kiln.await_rest(seconds=scale(60, 300))
    # Then everybody at once: both web servers, and a worker of each version.
    kiln.fleet.worker("execute-3")
    for clients in (old, new):
        clients.submit(kiln.functions["nap"], [number % 40 for number in range(each)])
    verdict = kiln.verdict(seconds=scale(90, 600))
    assert (old.problems, new.problems) == ([], [])
    assert kiln.count("status <> 'COMPLETED'") == 0
    workers = {node.name for node in kiln.fleet.nodes if node.exits not in ([], [0])}
    assert workers == set()
    report(verdict, f"beside {BEFORE[:10]}")
