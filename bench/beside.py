"""What the execute path costs beside an earlier commit: two whole Kilns on this machine, measured in turns.

    python -m bench.beside 029ff77        # the commit; six minutes

The commit is checked out beside and serves from its own code, with this environment's packages. Each figure is the
median of five ratios, each of two measurements that followed one another. Below 1 is less than the commit had.
"""

import inspect
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
ROUNDS: Final = 5
SECONDS: Final = 4

#: Figure by figure, whether more is better, and what it may come to; none where nothing is asked of it.
FIGURES: Final = {
    "one client, ms": (False, 1.15),
    "16 clients, /s": (True, 0.85),
    "batches drained, /s": (True, 0.85),
    "accepted only, /s": (True, 0.85),
}


class Side:
    """The Kiln of one checkout, in a process of its own that measures when it is told to."""

    def __init__(self, checkout: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            cwd=checkout,
            env=os.environ | {"PYTHONPATH": str(checkout)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer()

    def measure(self, figure: str) -> float:
        """One figure, now."""
        assert self._process.stdin is not None
        print(figure, file=self._process.stdin, flush=True)
        return float(self._answer())

    def close(self) -> None:
        """Let it stop what it started."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)

    def _answer(self) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("="):
                return line[1:].strip()
        raise EOFError("a side has ended")


def serve() -> None:
    """Be a side: the benchmarks and everything else are those of the checkout at hand."""
    from bench.executions import BATCH, BATCHES, Bench  # noqa: PLC0415 - those of the checkout, whose folder this is
    from bench.load import closed_loop  # noqa: PLC0415 - the same
    from bench.whole import kiln  # noqa: PLC0415 - the same

    shared: dict[str, Any] = {"toolchains": Path(sys.prefix) / "toolchains"}
    with kiln(**{name: shared[name] for name in inspect.signature(kiln).parameters if name in shared}) as whole:
        bench, port = Bench(whole), whole.port
        bench.sequential(300)

        def rate(request: bytes, status: int) -> float:
            load = closed_loop(port, request, clients=16, seconds=SECONDS, status=status)
            return len(load.durations) / load.seconds

        def drained() -> float:
            began = time.monotonic()
            bench.submit_batches()
            bench.await_drained()
            return BATCH * BATCHES / (time.monotonic() - began)

        def accepted() -> float:
            whole.stop("execute")
            result = rate(bench.submit, 202)
            whole.start("execute")
            bench.await_drained()
            return result

        measures = {
            "one client, ms": lambda: statistics.median(bench.sequential(400)),
            "16 clients, /s": lambda: rate(bench.execute, 200),
            "batches drained, /s": drained,
            "accepted only, /s": accepted,
        }
        print("= ready", flush=True)
        for line in sys.stdin:
            print("=", measures[line.strip()](), flush=True)


@contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """A commit's files, for as long as the block runs."""
    with tempfile.TemporaryDirectory(prefix="kiln-beside-") as name:
        place = Path(name) / "checkout"
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", place, commit], cwd=ROOT, check=True)
        try:
            yield place
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", place], cwd=ROOT, check=True)


def compare(then: Side, now: Side) -> None:
    """Measure in turns, and print."""
    for figure, (more_is_better, bound) in FIGURES.items():
        pairs = []
        for number in range(ROUNDS):
            # Whoever is second finds the machine as the first has left it.
            first, second = (then, now) if number % 2 else (now, then)
            found = {first: first.measure(figure)}
            found[second] = second.measure(figure)
            pairs.append((found[then], found[now]))
        ratio = statistics.median(after / before for before, after in pairs)
        before, after = (statistics.median(side) for side in zip(*pairs, strict=True))
        goal = f"{'at least' if more_is_better else 'at most'} {bound}"
        print(f"{figure:<22} {before:8.1f} then, {after:8.1f} now; ratio {ratio:.2f} (goal {goal})", flush=True)


def main() -> None:
    """Compare this checkout with a commit."""
    with checked_out(sys.argv[1]) as before, ExitStack() as sides:
        then, now = Side(before), Side(ROOT)
        for side in (then, now):
            sides.callback(side.close)
        compare(then, now)


if __name__ == "__main__":
    main() if len(sys.argv) > 1 else serve()
