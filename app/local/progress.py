"""What the launcher says to the person at the terminal: one line for each step, with the time that it took."""

import contextlib
import sys
import time
from collections.abc import Iterator


class Progress:
    """Prints steps. A terminal that went away does not disturb an orderly stop."""

    def __init__(self) -> None:
        self._width = 40

    def say(self, text: str, mark: str = "..") -> None:
        """One line that is not a step."""
        self._print(f"  {mark:<2}   {text}")

    def plain(self, text: str) -> None:
        """Text as it stands."""
        self._print(text)

    def fail(self, text: str) -> None:
        """Why it went no further, each line below the other."""
        first, *rest = text.splitlines() or [""]
        self._print("\n".join([f"  no   {first}", *(f"       {line}" for line in rest)]))

    @contextlib.contextmanager
    def step(self, *names: str) -> Iterator[list[str]]:
        """Time a step, and say its names when it is done; the step may change the list."""
        began = time.monotonic()
        called = list(names)
        yield called
        self._print(f"  ok   {' '.join(called):<{self._width}} {time.monotonic() - began:5.1f} s")

    def _print(self, text: str) -> None:
        with contextlib.suppress(OSError):
            print(text, file=sys.stdout, flush=True)
