"""How a source differs from another, as a unified diff whose making is bounded: authors choose both sides."""

from collections.abc import Sequence
from difflib import unified_diff
from itertools import takewhile
from typing import Final

#: What two texts may have to be compared line by line, as the product of the numbers of their lines that differ from
#: the first to the last; beyond it, all that differs is one change. difflib takes a tenth of a second at most for it.
MOST_PAIRS: Final = 4_000_000

_CONTEXT_LINES: Final = 3


def diff(old: str, new: str, *, old_name: str, new_name: str) -> str:
    """What changed, in the format of `diff -u`; nothing where both are equal."""
    before, after = _lines(old), _lines(new)
    head = _common(before, after)
    tail = _common(before[head:][::-1], after[head:][::-1])
    pairs = (len(before) - head - tail) * (len(after) - head - tail)
    if pairs > MOST_PAIRS:
        return _as_one_change(before, after, head, tail, names=(old_name, new_name))
    return "".join(unified_diff(before, after, old_name, new_name, n=_CONTEXT_LINES))


def _lines(text: str) -> list[str]:
    r"""Its lines with their ends; the last gets one, and diff's own remark, where it has none."""
    lines = [line + "\n" for line in text.split("\n")]
    if lines[-1] == "\n":
        return lines[:-1]
    lines[-1] += "\\ No newline at end of file\n"
    return lines


def _common(left: Sequence[str], right: Sequence[str]) -> int:
    """With how many equal lines both begin."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(left, right, strict=False)))


def _as_one_change(before: Sequence[str], after: Sequence[str], head: int, tail: int, *, names: tuple[str, str]) -> str:
    first = max(head - _CONTEXT_LINES, 0)
    ends = len(before) - tail, len(after) - tail
    shown = [min(end + _CONTEXT_LINES, len(side)) for end, side in zip(ends, (before, after), strict=True)]
    return "".join(
        [
            f"--- {names[0]}\n+++ {names[1]}\n",
            f"@@ -{first + 1},{shown[0] - first} +{first + 1},{shown[1] - first} @@\n",
            *(" " + line for line in before[first:head]),
            *("-" + line for line in before[head : ends[0]]),
            *("+" + line for line in after[head : ends[1]]),
            *(" " + line for line in before[ends[0] : shown[0]]),
        ]
    )
