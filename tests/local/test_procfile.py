from pathlib import Path

import pytest

from app.local.errors import ProcfileInvalid
from app.local.procfile import processes, read_procfile

REPOSITORY = Path(__file__).parents[2]


def test_the_procfile_of_the_repository_is_understood() -> None:
    commands = read_procfile(REPOSITORY / "Procfile", {})
    assert {"release", "web", "compile", "execute", "upkeep", "flower"} <= set(commands)
    assert "release" not in [spec.name for spec in processes(commands)]


def test_the_web_is_stopped_first_and_workers_have_time_to_finish() -> None:
    specs = {spec.name: spec for spec in processes(read_procfile(REPOSITORY / "Procfile", {}))}
    assert specs["web"].stop_rank < min(spec.stop_rank for name, spec in specs.items() if name != "web")
    assert specs["execute"].stop_seconds > 30
    assert specs["compile"].stop_seconds > 120


def test_variables_are_replaced_and_quotes_hold_words_together(tmp_path: Path) -> None:
    path = tmp_path / "Procfile"
    path.write_text("# a comment\n\none: run '$A b' ${B:-c} ${C}x $A\n")
    assert read_procfile(path, {"A": "1 2"}) == {"one": ("run", "1 2 b", "c", "x", "1 2")}


@pytest.mark.parametrize("line", ["web: a | b", "web: a && b", "web: a > b", "web: $(a)", "no command", "web:"])
def test_what_needs_a_shell_is_refused_with_its_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "Procfile"
    path.write_text(f"ok: a\n{line}\n")
    with pytest.raises(ProcfileInvalid, match=r"Procfile:2: "):
        read_procfile(path, {})
