"""What rustc says, as lines of `source.rs:line:column: message`, with nothing of what stands below the author's source."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

#: A compiler that has given up says so as errors without a place.
_SUMMARIES = ("aborting due to", "could not compile", "Some errors have detailed")


@dataclass(frozen=True)
class Message:
    """One error or warning. `line` is 0 where it has no place in the file; `is_theirs` is False where that is below
    the author's last line. `code` is like `E0425`, or a lint's name.
    """

    level: str
    code: str
    text: str
    line: int
    column: int
    is_theirs: bool

    def __str__(self) -> str:
        code = f"[{self.code}]" if self.code.startswith("E") else ""
        return f"source.rs:{self.line}:{self.column}: {self.level}{code}: {self.text}"


def read(stderr: bytes, last_line: int) -> tuple[list[Message], str]:
    """The messages, and what else was said. `last_line` is the author's last."""
    messages, rest = [], []
    for line in stderr.decode(errors="replace").splitlines():
        try:
            said = json.loads(line)
            is_message = "message" in said and "level" in said
        except (ValueError, TypeError):
            is_message = False
        if not is_message:
            rest.append(line)
        elif not str(said["message"]).startswith(_SUMMARIES) and said["level"] in {"error", "warning"}:
            messages.append(_message(said, last_line))
    return messages, "\n".join(rest)


def _message(said: dict[str, Any], last_line: int) -> Message:
    line, column, label = _place(said)
    text = " ".join(filter(None, (said["message"], f"({label})" if label else "")))
    for child in said["children"]:
        if child["level"] in {"help", "note"} and not _is_noise(child):
            text += f"\n  {child['level']}: {child['message']}"
    code = (said.get("code") or {}).get("code", "")
    is_theirs = line <= last_line
    if not is_theirs:
        line, column = next(_places_above(said, last_line), (last_line, 1))
    return Message(said["level"], code, text, line, column, is_theirs)


def _place(said: dict[str, Any]) -> tuple[int, int, str]:
    """Where the author wrote what is wrong, and what is said of it there."""
    spans = [span for span in said["spans"] if span["is_primary"]] or said["spans"]
    for span in spans:
        outer = span
        while outer["file_name"].removeprefix("./") != "source.rs" and outer.get("expansion"):
            outer = outer["expansion"]["span"]
        if outer["file_name"].removeprefix("./") == "source.rs":
            return outer["line_start"], outer["column_start"], span.get("label") or ""
    return 0, 0, ""


def _places_above(said: dict[str, Any], last_line: int) -> Iterator[tuple[int, int]]:
    """Places in the author's source that a message names beside its own."""
    for part in (said, *said["children"]):
        for span in part["spans"]:
            if span["file_name"].removeprefix("./") == "source.rs" and span["line_start"] <= last_line:
                yield span["line_start"], span["column_start"]


def _is_noise(child: dict[str, Any]) -> bool:
    """What is of no use to an author, or shows what is not theirs."""
    return any(
        word in child["message"]
        for word in ("kiln::glue", "`#[warn(", "`#[deny(", "RUST_BACKTRACE", "this error originates")
    )
