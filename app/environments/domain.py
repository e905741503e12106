"""Names, limits, variables and secrets of environments. Plain Python."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Never
from uuid import UUID

KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")

MOST_ENTRIES: Final = 200

#: Of one value, and of all keys and values together, in UTF-8.
LARGEST_VALUE_BYTES: Final = 16 << 10
LARGEST_BYTES: Final = 128 << 10


class Secret:
    """A text that shows itself to nobody who does not ask for it by name: not where it is printed, not in a traceback,
    and it cannot be pickled.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(…)"

    def __reduce__(self) -> Never:
        message = "a secret is not written anywhere"
        raise TypeError(message)


class Variables(Mapping[str, str]):
    """What a function finds in its environment. It prints its names, and never a value."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = dict(values)

    def __getitem__(self, key: str) -> str:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Variables({', '.join(sorted(self._values))})"

    def __reduce__(self) -> Never:
        message = "variables are not written anywhere"
        raise TypeError(message)


@dataclass(frozen=True, slots=True)
class Wish:
    """What an entry is to be. Without a value, a secret keeps the one that it has; without `is_secret` it is what it
    was, and what is new is plain. `pointer` says where it stands in the request.
    """

    key: str
    pointer: str
    value: Secret | None = None
    is_secret: bool | None = None


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to become of the entries. Where the wishes are the whole list, everything else goes."""

    wishes: Sequence[Wish] = ()
    removed: Collection[str] = ()
    are_whole: bool = False


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A data key as it is stored, and the name of the master key that wrapped it."""

    master_key: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Opened:
    """An environment as a function is given it."""

    revision: int | None
    variables: Variables


#: What a function without an environment is given.
NOTHING: Final = Opened(None, Variables({}))


class EnvironmentFault(Exception):
    """Something about an environment is not as the caller needs it."""


class UnknownEnvironment(EnvironmentFault):
    """There is no such environment."""


class NameTaken(EnvironmentFault):
    """Another environment has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is already an environment named {name}")


class RevisionMismatch(EnvironmentFault):
    """The environment was changed since the caller read it."""


class EnvironmentInUse(EnvironmentFault):
    """Functions use the environment."""

    def __init__(self, functions: Collection[UUID]) -> None:
        super().__init__("functions use the environment; take it away from them first")
        self.functions = [str(one) for one in functions]


class EntryRefused(EnvironmentFault):
    """An environment cannot have this entry."""

    def __init__(self, reason: str, pointer: str) -> None:
        super().__init__(reason)
        self.pointer = pointer


class TooLarge(EnvironmentFault):
    """Keys and values are larger than the limit."""

    def __init__(self, actual: int) -> None:
        super().__init__(f"keys and values have {actual} bytes, the limit is {LARGEST_BYTES}")
        self.limit, self.actual = LARGEST_BYTES, actual


class CannotOpen(EnvironmentFault):
    """What is sealed cannot be opened. Nothing of its content is in this error's words."""


class MasterKeyMissing(CannotOpen):
    """The master key that an environment's data key is wrapped by was not given to this process."""

    def __init__(self, environment_id: UUID, name: str) -> None:
        super().__init__(
            f"the data key of environment {environment_id} is wrapped by the master key {name}, which KILN_MASTER_KEY, "
            "or master.key in KILN_HOME, does not have here"
        )


class SealBroken(CannotOpen):
    """What is stored is not what was sealed for this place."""

    def __init__(self, environment_id: UUID, what: str) -> None:
        super().__init__(f"{what} of environment {environment_id} is not what was sealed for this place")


def check_wishes(changes: Changes) -> None:
    """Raises EntryRefused where a key is named twice, or a value is too large."""
    seen = set(changes.removed)
    for wish in changes.wishes:
        if wish.key in seen:
            raise EntryRefused("each key is named once", f"{wish.pointer}/key")
        seen.add(wish.key)
        if wish.value is not None and len(wish.value.reveal().encode()) > LARGEST_VALUE_BYTES:
            raise EntryRefused(f"a value has at most {LARGEST_VALUE_BYTES} bytes", f"{wish.pointer}/value")


def check_size(sizes: Mapping[str, int]) -> None:
    """Raises EntryRefused where there are too many entries, and TooLarge; `sizes` has the bytes of each value."""
    if len(sizes) > MOST_ENTRIES:
        raise EntryRefused(f"an environment has at most {MOST_ENTRIES} entries", "/set")
    actual = sum(len(key) + size for key, size in sizes.items())
    if actual > LARGEST_BYTES:
        raise TooLarge(actual)
