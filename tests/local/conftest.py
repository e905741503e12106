"""Homes in short directories, and waiting with a generous bound."""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.local.postgres import EmbeddedPostgres
from tests.patience import came_true


@pytest.fixture
def home() -> Iterator[Path]:
    """A home whose socket path is short enough, unlike those below pytest's own directory."""
    with tempfile.TemporaryDirectory(prefix="kiln-test-", ignore_cleanup_errors=True) as directory:
        yield Path(directory) / "home"


@pytest.fixture
def server(home: Path) -> Iterator[EmbeddedPostgres]:
    """A running server."""
    with EmbeddedPostgres(home, durable=False) as running:
        yield running


def eventually(condition: Callable[[], bool], seconds: float = 15) -> bool:
    """Whether the condition becomes true in time."""
    return came_true(condition, seconds=seconds)


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def is_root() -> bool:
    """Whether the tests run as root."""
    return os.geteuid() == 0
