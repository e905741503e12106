"""From `POST /functions` to READY, beside the bare compiler and Cranelift on the command line.

    python -m bench.compiling [rounds]

A whole Kiln from the Procfile's commands whose compile worker has all that compilations share; each round sends every
language's greeting anew, changed by a comment, and polls every 5 ms. Then the same programs run on the same source
without Kiln and without a jail: what the toolchain starts, then the engine's program that makes native code.
"""

import http.client
import subprocess
import sys
import time
from collections import defaultdict
from statistics import median

from app.toolchains import LANGUAGES
from app.wasm import precompile
from bench.bare import without_jail
from bench.latency import Api, await_languages, register
from bench.sources import GREETINGS, SHARED
from bench.whole import kiln


def changed(language: str, number: int) -> str:
    """The greeting, as a source that was never compiled before."""
    mark = {"python": "#", "wat": ";;"}.get(language, "//")
    return f"{GREETINGS[language].read_text()}\n{mark} {number}\n"


def registered(connection: http.client.HTTPConnection, language: str, number: int) -> float:
    """Seconds until a function is READY."""
    name, source = f"bench-{language}-{number}", changed(language, number)
    began = time.monotonic()
    register(connection, name, language, source)
    return time.monotonic() - began


def bare(language: str, number: int) -> float:
    """Seconds that the compiler and Cranelift take by themselves."""
    source = changed(language, number).encode()
    with without_jail():
        began = time.monotonic()
        made = LANGUAGES[language].compile(source, shared=SHARED)
        if made.layer is None:
            subprocess.run(precompile.COMMAND, input=made.wasm, stdout=subprocess.DEVNULL, check=True)
        return time.monotonic() - began


def main(rounds: int) -> None:
    """Measure and print."""
    with kiln(toolchains=SHARED) as whole:
        connection = Api(whole.port, whole.home)
        await_languages(connection)
        report(measure(connection, rounds))


def measure(connection: http.client.HTTPConnection, rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Seconds by Kiln and bare, in turn."""
    taken = defaultdict(list)
    for language in GREETINGS:
        if LANGUAGES[language].missing() is None:
            for number in range(rounds):
                taken[language].append((registered(connection, language, number), bare(language, number)))
    return taken


def report(taken: dict[str, list[tuple[float, float]]]) -> None:
    """Print medians, and the median of the ratios of pairs."""
    print("register to READY, s     Kiln    bare   ratio")
    for language, pairs in taken.items():
        ours, theirs = (median(pair[at] for pair in pairs) for at in (0, 1))
        ratio = median(one / other for one, other in pairs)
        print(f"{language:20} {ours:8.2f} {theirs:7.2f} {ratio:7.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
