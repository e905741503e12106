"""The jail with and without bubblewrap around it, and a place for job directories that must be empty after a test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.toolchains.jail import wrapping

WRAPS = wrapping.works()


@pytest.fixture(params=["plain", "bubblewrap"], autouse=True)
def wrapped(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether bubblewrap is around the jail."""
    wanted: bool = request.param == "bubblewrap"
    if wanted and not WRAPS:
        pytest.skip("bubblewrap does not work here")
    monkeypatch.setattr(wrapping, "works", lambda: wanted)
    return wanted


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    """A directory for the jail's jobs; a test that leaves one behind fails."""
    directory = tmp_path / "scratch"
    directory.mkdir()
    yield directory
    assert list(directory.iterdir()) == []
