"""A state machine stands three times: in the domain, in the schema, in the documents. They are equal."""

import re
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest

from app.executions import domain as executions
from app.functions import domain as functions

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "functions.md").read_text()


def drawn(title: str) -> set[tuple[str, str]]:
    """The arrows of a state diagram in the page."""
    diagram = PAGE.split(f"<!-- {title} -->")[1].split("```")[1]
    return set(re.findall(r"([A-Z]+) --> ([A-Z]+)", diagram))


@pytest.mark.parametrize(
    ("title", "transitions"), [("version", functions.TRANSITIONS), ("execution", executions.TRANSITIONS)]
)
def test_the_diagram_shows_the_transitions(title: str, transitions: dict[StrEnum, frozenset[StrEnum]]) -> None:
    assert drawn(title) == {(before.value, after.value) for before, afters in transitions.items() for after in afters}


@pytest.mark.parametrize(
    ("constraint", "words"),
    [
        ("ck_versions_status", functions.VersionStatus),
        ("ck_versions_verification", functions.Verification),
        ("ck_executions_status", executions.Status),
        ("ck_executions_error_type", executions.ErrorType),
    ],
)
def test_the_schema_knows_the_same_words(rows: Callable[..., list[Any]], constraint: str, words: type[StrEnum]) -> None:
    definitions = rows("SELECT DISTINCT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = %s", constraint)
    assert len(definitions) == 1
    assert set(re.findall(r"'([A-Z_]+)'", definitions[0][0])) == set(words)
