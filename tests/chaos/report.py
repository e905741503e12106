"""The line that each run prints, and the page that the long runs write."""

import os
import platform
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.chaos.oracle import Verdict

PAGE = Path(__file__).resolve().parents[2] / "docs" / "guarantees.md"

_COUNTS = ("attempts", "acknowledged", "ok", "lost", "unexpected", "duplicated", "recovered")

_HEAD = """# Guarantees

What Kiln promises, and the test that shows it. Each test runs real web servers and workers on a real PostgreSQL, harms
them, and asks afterwards whether everything that a client was told came true. `make test` runs all of them in a short
form, `make chaos` in the long form whose figures stand here. Beside each stands the same test with the mechanism behind
the promise broken, which asserts that the harm is then seen.

Kiln delivers at least once and never claims "exactly once": an execution whose worker dies is begun again, so a
function may run twice. It has one result, which is that of its last attempt, and one end.
"""

_FIGURES = """
## The last long run

`acknowledged` were answered 200 or 202, `ok` of them came to their end, `lost` did not. `unexpected` were never asked
for, or answered as no client should be. `recovered` were not known to be accepted by their client, and were.
`duplicated` were begun more than once: they are counted, they do not fail a run.
"""


@dataclass(frozen=True, slots=True)
class Promise:
    """A sentence, and the test that shows it."""

    id: str
    sentence: str
    test: str


@dataclass(frozen=True, slots=True)
class Figures:
    """What the runs of one promise came to."""

    promise: Promise
    counts: Mapping[str, int]
    seconds: float
    remarks: str = ""

    @classmethod
    def of(cls, promise: Promise, verdict: Verdict, seconds: float, remarks: str) -> "Figures":
        """The figures of one run."""
        return cls(promise, verdict.counts, seconds, remarks)

    @property
    def line(self) -> str:
        """In the form of RabbitMQ's Jepsen suite."""
        counts = " ".join(f"{name}={self.counts[name]}" for name in _COUNTS)
        return f"{self.promise.id}: {counts} seconds={self.seconds:.0f}{self.remarks and f' ({self.remarks})'}"

    @property
    def row(self) -> str:
        """A row of the page."""
        counts = " | ".join(f"{self.counts[name]:,}" for name in _COUNTS)
        day = time.strftime("%Y-%m-%d", time.gmtime())
        return f"| {self.promise.id} | {counts} | {self.seconds:.0f} | {self.remarks} | {day}, {machine()} |"


def machine() -> str:
    """What the figures were taken on."""
    memory = round(psutil.virtual_memory().total / 2**30)
    return f"{os.cpu_count()} × {platform.machine()}, {memory} GB, Python {platform.python_version()}"


def page(promises: Iterable[Promise], figures: Iterable[Figures], before: str) -> str:
    """The whole page. Rows of the page before stand where a promise was not run this time."""
    ordered = sorted(promises, key=lambda promise: _number(promise.id))
    rows = dict(re.findall(r"^(?=\| (R\w+) \| \d)(.*)$", before, re.MULTILINE))
    rows |= {one.promise.id: one.row for one in figures}
    head = f"| | {' | '.join(_COUNTS)} | seconds | remarks | date, machine |\n|---|{'---|' * (len(_COUNTS) + 3)}\n"
    return (
        _HEAD
        + "\n| | promise | test |\n|---|---|---|\n"
        + "".join(f"| {one.id} | {one.sentence} | `{one.test}` |\n" for one in ordered)
        + _FIGURES
        + "\n"
        + head
        + "".join(f"{rows[one.id]}\n" for one in ordered if one.id in rows)
    )


def _number(promise_id: str) -> tuple[int, str]:
    match = re.fullmatch(r"R(\d+)(\w*)", promise_id)
    assert match is not None, promise_id
    return int(match[1]), match[2]
