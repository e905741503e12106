"""What rustc says, as lines of `source.rs:line:column: message`, without what stands below the author's source."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_SOURCE = "source.rs"
#: Advice that helps no author: it is of the glue, of other types, or has its text in the source that it points to.
_NOISE = re.compile(r"kiln::glue|`#\[(?:warn|deny)\(|the following|this error originates|see issue|defined here")
_MOST_ADVICE = 3
_LINKER = re.compile(r"wasm-ld: error: (?:\S+\.o: )?([^\n]*)")


@dataclass(frozen=True)
class Message:
    """One error or warning. `line` is 0 where it has no place in the file; `is_theirs` is False where that is below
    the author's last line; then `cause` is a place above it that has to do with it, if there is one. `code` is like
    `E0425`, or a lint's name; `linking` is what the linker found wrong.
    """

    level: str
    code: str
    text: str
    advice: tuple[str, ...]
    line: int
    column: int
    is_theirs: bool
    cause: tuple[int, int] | None
    linking: tuple[str, ...]

    def __str__(self) -> str:
        code = f"[{self.code}]" if self.code.startswith("E") else ""
        start = f"{_SOURCE}:{self.line}:{self.column}: {self.level}{code}: {self.text}"
        return "\n  ".join((start, *self.advice))


def read(stderr: bytes, last_line: int) -> Iterator[Message]:
    """The errors and warnings among what a compiler has written. `last_line` is the author's last."""
    for line in stderr.splitlines():
        try:
            said = json.loads(line)
        except ValueError:
            continue
        if isinstance(said, dict) and said.get("level") in {"error", "warning"}:
            yield _message(said, last_line)


def _message(said: dict[str, Any], last_line: int) -> Message:
    line, column, label = _place(said)
    text = said["message"]
    if label and label not in text:
        text += f": {label}"
    return Message(
        level=said["level"],
        code=(said["code"] or {}).get("code", ""),
        text=text,
        advice=tuple(_advice(said))[:_MOST_ADVICE],
        line=line,
        column=column,
        is_theirs=line <= last_line,
        cause=max(_places_until(said, last_line), default=None),
        linking=tuple(found for child in said["children"] for found in _LINKER.findall(child["message"])),
    )


def _place(said: dict[str, Any]) -> tuple[int, int, str]:
    """Where the source has what is wrong, and what is said of it there; what a macro made is where it was called."""
    for span in (span for span in said["spans"] if span["is_primary"]):
        outer = span
        while outer["file_name"].removeprefix("./") != _SOURCE and outer["expansion"]:
            outer = outer["expansion"]["span"]
        if outer["file_name"].removeprefix("./") == _SOURCE:
            return outer["line_start"], outer["column_start"], span["label"] or ""
    return 0, 0, ""


def _places_until(said: dict[str, Any], last_line: int) -> Iterator[tuple[int, int]]:
    for span in said["spans"]:
        if span["file_name"].removeprefix("./") == _SOURCE and span["line_start"] <= last_line:
            yield span["line_start"], span["column_start"]


def _advice(said: dict[str, Any]) -> Iterator[str]:
    for child in said["children"]:
        if child["level"] in {"help", "note"} and not _NOISE.search(child["message"]):
            yield f"{child['level']}: {child['message'].partition(chr(10))[0]}"
