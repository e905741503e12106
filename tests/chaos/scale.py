"""How large a chaos test is: short in `make test`, long in `make chaos`. Each test has both numbers side by side."""

from enum import StrEnum
from typing import TypeVar

Number = TypeVar("Number", int, float)


class Scale(StrEnum):
    """The size of a run."""

    SHORT = "short"
    LONG = "long"

    def __call__(self, short: Number, long: Number) -> Number:
        """The number of this scale."""
        return short if self is Scale.SHORT else long
