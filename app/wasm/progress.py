"""How far a function has come, as it says itself: a line that it prints, `::progress 40 halfway`, in any language.

The number is percent, from 0 to 100, with or without a fraction; what follows is a message, if there is any. The line
stays in the log like any other.
"""

import re
import time
from dataclasses import dataclass
from typing import Final

PREFIX: Final = b"::progress "

MESSAGE_CHARACTERS: Final = 200

#: So much of a line is looked at.
LINE_BYTES: Final = len(PREFIX) + 16 + 4 * MESSAGE_CHARACTERS

_SAID = re.compile(r"::progress +([0-9]{1,3}(?:\.[0-9]{1,9})?)(?: +(\S.*))?\s*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Progress:
    """What was said last. `at` is Unix time in seconds."""

    percent: float
    message: str | None
    at: float


class Reported:
    """What one execution has said of its progress. The guest's thread writes, any other may read."""

    def __init__(self) -> None:
        self.latest: Progress | None = None
        self._line = b""
        """The beginning of a line that may be one of these."""
        self._is_inside = False
        """Whether what comes belongs to a line that is none."""

    def read(self, piece: bytes) -> None:
        """Look through what was printed. A line may come in pieces."""
        if self._is_inside:
            _, end, piece = piece.partition(b"\n")
            if not end:
                return
        piece, self._line, self._is_inside = self._line + piece, b"", False
        if PREFIX in piece:
            *lines, _ = piece.split(b"\n")
            for line in lines:
                self._say(line)
        start = piece.rfind(b"\n") + 1
        rest = piece[start : start + LINE_BYTES]
        if rest[: len(PREFIX)] == PREFIX[: len(rest)]:
            self._line = rest
        else:
            self._is_inside = True

    def _say(self, line: bytes) -> None:
        if not line.startswith(PREFIX):
            return
        said = _SAID.fullmatch(line[:LINE_BYTES].decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}"))
        if said is not None and float(said[1]) <= 100:
            message = said[2][:MESSAGE_CHARACTERS].rstrip() if said[2] else None
            self.latest = Progress(float(said[1]), message, time.time())
