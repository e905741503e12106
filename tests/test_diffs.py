"""Diffs are right, and bounded."""

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.functions import diffs
from app.functions.diffs import diff

TEXTS = st.lists(st.sampled_from(["a", "b", "c", ""]), max_size=12).map("\n".join)


def patched(old: str, change: str, directory: Path) -> str:
    """What `patch` makes of a text."""
    file = directory / "text"
    file.write_text(old)
    subprocess.run(["patch", "--silent", "--unified", str(file)], input=change, text=True, check=True)
    return file.read_text()


@pytest.mark.parametrize("most_pairs", [0, 10**6])
@pytest.mark.skipif(shutil.which("patch") is None, reason="there is no patch here")
def test_patch_makes_the_new_text_of_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most_pairs: int
) -> None:
    monkeypatch.setattr(diffs, "MOST_PAIRS", most_pairs)

    @given(TEXTS, TEXTS)
    def holds(old: str, new: str) -> None:
        change = diff(old, new, old_name="old", new_name="new")
        assert (change == "") == (old == new)
        if old != new:
            assert patched(old, change, tmp_path) == new

    holds()


def test_what_differs_too_much_is_one_change() -> None:
    lines = 3_000
    change = diff("x\n" * lines, "y\n" * lines, old_name="old", new_name="new")
    assert change.count("@@ ") == 1
    assert (change.count("\n-x"), change.count("\n+y")) == (lines, lines)
