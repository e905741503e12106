"""What clients were told, written down as they were told it."""

import threading
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple


class Answer(StrEnum):
    """What a client makes of an answer."""

    ACCEPTED = "accepted"
    """200 or 202: this must never be lost."""
    REFUSED = "refused"
    """503, 507: to be repeated."""
    UNKNOWN = "unknown"
    """No answer came: to be repeated."""
    FAULT = "fault"
    """An answer that no client should get."""


class Entry(NamedTuple):
    """One request: the client's own id, the answer, and the id of the execution that was accepted."""

    client_id: str
    answer: Answer
    execution_id: str


class Ledger:
    """A file of lines, appended to by many threads. It outlives whatever happens to Kiln."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._file = path.open("a", buffering=1)

    def note(self, client_id: str, answer: Answer, execution_id: str = "") -> None:
        """Write one line."""
        with self._lock:
            self._file.write(f"{client_id}\t{answer}\t{execution_id}\n")

    def entries(self) -> Iterator[Entry]:
        """Every line."""
        for line in self._path.read_text().splitlines():
            client_id, answer, execution_id = line.split("\t")
            yield Entry(client_id, Answer(answer), execution_id)

    def count(self, answer: Answer) -> int:
        """How many were answered so."""
        return sum(entry.answer is answer for entry in self.entries())

    def close(self) -> None:
        """Close the file."""
        self._file.close()
