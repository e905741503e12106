"""What the jail costs a compilation, and what hostile sources cost the honest ones beside them.

    python -m bench.jail [compiles]

First the same programs bare and in the jail, in turn: one that does nothing, and the C compiler on its greeting. Then
that greeting again and again in one process, as a compile worker's child does it: alone, and while another child gets
five times as many hostile sources, bombs and leaks, under limits that end each within two seconds. Whatever comes back
from those is searched for two canaries and the lines of /etc/passwd; what is left of any of them afterwards is counted.
"""

import os
import secrets
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from statistics import quantiles

from app.toolchains import LANGUAGES, CompileFailed, Toolchain, ToolchainError, jail
from app.toolchains.jail import JailError, JailLimits, groups, wrapping
from app.toolchains.jail.inside.descendants import descendants
from app.toolchains.jail.inside.main import PR_SET_CHILD_SUBREAPER, prctl
from bench import bare
from bench.runtime import timed
from bench.sources import GREETINGS, SHARED

_GOAL_MS = 30
_HOSTILE_FOR_EACH = 5
_TIGHT = JailLimits(
    wall_ms=2_000,
    cpu_seconds=2,
    memory_bytes=1024 << 20,
    processes=32,
    output_bytes=8 << 20,
)

#: Language, what it does, source. `CANARY` is the path of a file that everybody may read.
_HOSTILE = (
    ("c", "includes the canary", '#include "CANARY"\nchar *handle(const char *input) { return (char *)input; }'),
    ("c", "assembles in the system's users", '__asm__(".incbin \\"/etc/passwd\\"");'),
    (
        *("c", "doubles a macro forty times"),
        "#define M0 1+1\n" + "".join(f"#define M{n} M{n - 1}+M{n - 1}\n" for n in range(1, 41)) + "long n = M40;",
    ),
    ("c", "writes a gigabyte", "char much[1 << 30] = {1};\nchar *handle(const char *input) { return much; }"),
    ("c", "includes a file without end", '#include "/dev/zero"'),
    ("cpp", "includes a worker's environment", '#include "/proc/self/environ"'),
    ("cpp", "has templates that have templates", "template <class T> struct A { A<A<T>> a; };\nA<int> a;"),
    (
        *("cpp", "counts for ever"),
        "constexpr long f(long n) { return n < 2 ? 1 : f(n - 1) + f(n - 2); }\nstatic_assert(f(60));",
    ),
    ("zig", "embeds the system's users", 'const users = @embedFile("/etc/passwd");\n' + "comptime { _ = users; }"),
    ("zig", "counts for ever", "comptime { @setEvalBranchQuota(4_000_000_000); while (true) {} }"),
    ("go", "embeds the canary", 'package main\n\nimport _ "embed"\n\n//go:embed CANARY\nvar canary string\n'),
    ("rust", "includes the canary", 'compile_error!(include_str!("CANARY"));'),
    ("rust", "reads a variable", 'compile_error!(env!("BENCH_CANARY"));'),
    ("rust", "doubles a macro", "macro_rules! m { ($($t:tt)*) => { m!($($t)* $($t)*); } }\nm!(a a);"),
    ("assemblyscript", "imports the system's users", 'import "/etc/passwd";\nimport "../../../../../../etc/passwd";'),
    ("typescript", "refers to the canary", '/// <reference path="CANARY" />\nexport default () => 1;'),
    (
        *("typescript", "doubles a type"),
        "type D<T extends unknown[], N> = N extends [unknown, ...infer R] ? D<[...T, ...T], R> : T;\n"
        f"export const d: D<[1], [{'1,' * 40}]> = 1;",
    ),
    ("javascript", "imports the canary", 'import canary from "CANARY";\nexport default () => canary;'),
    ("javascript", "takes all memory", "const all = [];\nfor (;;) all.push(new Uint8Array(1 << 20).fill(1));"),
    ("python", "raises what it reads", 'raise Exception(open("/etc/passwd").read() + open("CANARY").read())'),
    ("python", "never ends", "while True:\n    pass"),
)


@dataclass(frozen=True)
class Canaries:
    """What no compilation may know: a file's content, a variable's, and who is on this machine."""

    path: Path
    secrets: Sequence[bytes]

    def found_in(self, content: bytes) -> bool:
        """Whether some of it is there."""
        return any(secret in content for secret in self.secrets)


@dataclass(frozen=True)
class Attempt:
    """How one hostile compilation ended."""

    language: str
    deed: str
    end: str
    seconds: float
    leaked: bool


def honest() -> None:
    """Compile the greeting."""
    LANGUAGES["c"].compile(GREETINGS["c"].read_bytes(), shared=SHARED)


def honest_bare() -> None:
    """The same without the jail."""
    with bare.without_jail():
        honest()


def report_overhead(rounds: int) -> None:
    """Measure and print what the jail costs."""
    walls = ["bubblewrap"] * wrapping.works() + ["a control group"] * groups.are_delegated()
    print(f"around the jail: {' and '.join(walls) or 'nothing'}; as {'root' if os.geteuid() == 0 else 'ordinary user'}")
    print(
        f"milliseconds, {rounds} times each   bare p50    p95  least   jail p50    p95  least   more p50    p95   goal"
    )
    programs: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "/bin/true": (lambda: bare.run(["/bin/true"]), lambda: jail.run(["/bin/true"])),
        "C, the greeting": (honest_bare, honest),
    }
    for name, (without, within) in programs.items():
        calls = {"bare": without, "jail": within}
        timed(calls, 2)
        taken = timed(calls, rounds)
        figures = "   ".join(
            f"{percentile(values, 50):8.1f} {percentile(values, 95):6.1f} {min(values):6.1f}"
            for values in taken.values()
        )
        # Of pairs, so that what slows both of a pair is in neither difference.
        more = [within - without for without, within in zip(taken["bare"], taken["jail"], strict=True)]
        print(f"{name:29} {figures}   {percentile(more, 50):8.1f} {percentile(more, 95):6.1f}   {_GOAL_MS:4}")


def percentile(values: Sequence[float], percent: int) -> float:
    """With ever so few values never more than the largest."""
    return quantiles(values, n=100, method="inclusive")[percent - 1]


def compile_honest(answer: Connection, compiles: int, until: int | None) -> None:
    """A child's work: so many compilations, and more until a process has ended; answers the seconds of each."""
    taken: list[float] = []
    while len(taken) < compiles or (until is not None and is_running(until)):
        began = time.monotonic()
        honest()
        taken.append(time.monotonic() - began)
    answer.send(taken)


def is_running(pid: int) -> bool:
    """Whether a process has not ended; the one that waits for it is another."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def compile_hostile(answer: Connection, count: int, canaries: Canaries) -> None:
    """A child's work: so many hostile compilations; answers how they ended."""
    here = [one for one in _HOSTILE if LANGUAGES[one[0]].missing() is None]
    answer.send([attempt(*one, canaries) for one in islice(cycle(here), count)])


def attempt(language: str, deed: str, source: str, canaries: Canaries) -> Attempt:
    """Compile one hostile source, and look at all that comes back."""
    toolchain: Toolchain = type(LANGUAGES[language])(_TIGHT)
    began = time.monotonic()
    try:
        made = toolchain.compile(source.replace("CANARY", str(canaries.path)).encode(), shared=SHARED)
        # A module that functions share is none of its author's making.
        end, content = "compiled", made.log.encode() + (made.wasm if made.layer is None else made.layer)
    except CompileFailed as error:
        end, content = type(error).__name__, f"{error.diagnostics}{error.log}".encode()
    except (ToolchainError, JailError) as error:
        end, content = type(error).__name__, str(error).encode()
    return Attempt(language, deed, end, time.monotonic() - began, canaries.found_in(content))


@contextmanager
def canaries_set() -> Iterator[Canaries]:
    """Two canaries: a file, and a variable of the children."""
    with tempfile.TemporaryDirectory(prefix="kiln-canary-") as name:
        folder, tokens = Path(name), [secrets.token_hex(), secrets.token_hex()]
        folder.chmod(0o755)
        (folder / "canary").write_text(f'"{tokens[0]}"\n')
        (folder / "canary").chmod(0o644)
        os.environ["BENCH_CANARY"] = tokens[1]
        users = Path("/etc/passwd").read_bytes().splitlines()
        yield Canaries(folder / "canary", [*(token.encode() for token in tokens), *filter(None, users)])
        del os.environ["BENCH_CANARY"]


def report_neighbours(compiles: int) -> None:
    """Measure and print what hostile sources do to honest ones, and what they get and leave."""
    with canaries_set() as canaries, tempfile.TemporaryDirectory(prefix="kiln-bench-") as scratch:
        # Where the children's jails make their directories, which are nobody else's then.
        tempfile.tempdir = scratch
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        before = descendants()
        alone, beside, attempts = measure(compiles, canaries)
        left_directories, left_processes = len(os.listdir(scratch)), len(descendants() - before)  # noqa: PTH208
        tempfile.tempdir = None
    print("\nhonest compilations           count   p50 s   p99 s   max s")
    for name, taken in (("alone", alone), ("beside hostile ones", beside)):
        print(f"{name:29} {len(taken):5} {percentile(taken, 50):7.2f} {percentile(taken, 99):7.2f} {max(taken):7.2f}")
    report_attempts(attempts)
    leaked = sum(one.leaked for one in attempts)
    print(f"\nof {len(attempts)} hostile compilations {leaked} leaked something; left were", end=" ")
    print(f"{left_directories} directories, {left_processes} processes, {jail.sweep_groups()} control groups")


def measure(compiles: int, canaries: Canaries) -> tuple[list[float], list[float], list[Attempt]]:
    """Seconds of honest compilations alone and beside hostile ones, and how those ended."""
    first, alone = child(compile_honest, compiles, None)
    taken_alone = alone.recv()
    first.join()
    # It stays, having ended, until it is waited for: the other child looks at it.
    hostile, attempts = child(compile_hostile, compiles * _HOSTILE_FOR_EACH, canaries)
    second, beside = child(compile_honest, compiles, hostile.pid)
    found, taken_beside = attempts.recv(), beside.recv()
    hostile.join()
    second.join()
    return taken_alone, taken_beside, found


def child(work: Callable[..., None], *arguments: object) -> tuple[BaseProcess, Connection]:
    """A process that does this, and where it answers from."""
    reading, writing = Pipe(duplex=False)
    process = get_context("fork").Process(target=work, args=(writing, *arguments))
    process.start()
    # So that it is known when it dies without an answer.
    writing.close()
    return process, reading


def report_attempts(attempts: Sequence[Attempt]) -> None:
    """Print how hostile compilations ended, by source."""
    print("\nhostile compilations                                 count   p50 s   max s  leaked  ended")
    by_source = defaultdict(list)
    for one in attempts:
        by_source[one.language, one.deed].append(one)
    for (language, deed), some in by_source.items():
        seconds = [one.seconds for one in some]
        middle = sorted(seconds)[len(seconds) // 2]
        ends = ", ".join(dict.fromkeys(one.end for one in some))
        leaked = sum(one.leaked for one in some)
        print(f"{language:15} {deed:36} {len(some):5} {middle:7.2f} {max(seconds):7.2f} {leaked:7}  {ends}")


def main(compiles: int) -> None:
    """Measure and print."""
    for name in sorted({"c", *(one[0] for one in _HOSTILE)}):
        if reason := LANGUAGES[name].missing():
            print(f"{name:15} {reason}")
        else:
            LANGUAGES[name].prepare(SHARED)
    report_overhead(compiles)
    report_neighbours(compiles)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
