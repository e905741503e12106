"""Every promise, found in the tests that show them. `python -m tests.chaos.promises` writes them into the page."""

import importlib
from collections.abc import Iterator
from pathlib import Path

from tests.chaos.report import PAGE, Promise, page


def collected() -> list[Promise]:
    """One for each test with the marker `promise`."""
    return [promise for path in sorted(Path(__file__).parent.glob("test_*.py")) for promise in _of(path)]


def _of(path: Path) -> Iterator[Promise]:
    module = importlib.import_module(f"tests.chaos.{path.stem}")
    for name, test in vars(module).items():
        for marker in getattr(test, "pytestmark", []) if name.startswith("test_") else []:
            if marker.name == "promise":
                yield Promise(marker.args[0], marker.args[1], f"tests/chaos/{path.name}::{name}")


if __name__ == "__main__":
    PAGE.write_text(page(collected(), [], PAGE.read_text() if PAGE.exists() else ""))
