"""Sources that mean harm, for every compiler, and what is to come of each.

Most are files, `<language>/<name>.<extension>`, with a line each in the language's `expected.toml`; those that are
large or no text are made by `made.py`. What is to come of a source is `compiles`, `refused` (its author is told what is
wrong with it), or the bound that it reaches: `time`, `memory`, `output`; several where that depends on the machine.
After a colon stands what the author must be told.

In a file, `@HOME@` and the like are the paths of canaries (`test_corpus.py`).
"""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from app.toolchains import LANGUAGES
from tests.jail.corpus.made import MADE

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Hostile:
    """One source, the ends that it may come to, and a part of what its author is told then."""

    language: str
    name: str
    source: bytes
    ends: frozenset[str]
    told: str

    def __str__(self) -> str:
        return f"{self.language}-{self.name}"


def corpus() -> list[Hostile]:
    """All of it, in an order that does not change."""
    return [_hostile(language, *one) for language in LANGUAGES for one in _sources(language)]


def _hostile(language: str, name: str, expected: str, source: bytes) -> Hostile:
    ends, _, told = expected.partition(": ")
    return Hostile(language, name, source, frozenset(ends.split(" | ")), told)


def _sources(language: str) -> Iterator[tuple[str, str, bytes]]:
    expected = _FOLDER / language / "expected.toml"
    if expected.exists():
        for name, wanted in tomllib.loads(expected.read_text()).items():
            yield name, wanted, expected.with_name(f"{name}.{LANGUAGES[language].extension}").read_bytes()
    yield from MADE.get(language, ())
