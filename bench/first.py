"""How much longer than others the first execution takes that a worker's child has never seen the function of.

    python -m bench.first             # starts a whole Kiln of its own on loopback, measures, stops it

For each language a few functions that greet, each with a word of its own, so that none shares a module with another
where the language does not. Each is READY, and the workers have been told of it, a moment before it is executed; no
child has run it, or anything else of a language whose turn comes first. The first execution is set against the median
of later ones that come after the same pause, over HTTP and by what the function itself took.
"""

import http.client
import json
import statistics
import time
from typing import Any

from app.toolchains import LANGUAGES
from bench.latency import Api, ready_function, register, request
from bench.sources import GREETINGS, SHARED
from bench.whole import kiln

FUNCTIONS = 4
LATER = 5
#: Between READY and the first execution: what a person or a script needs at least.
MOMENT_SECONDS = 0.5

Times = tuple[float, float]


def sources(language: str) -> list[str]:
    """The same function in other words."""
    text = GREETINGS[language].read_text()
    assert "Hello" in text, language
    return [text.replace("Hello", f"Hello{number}") for number in range(FUNCTIONS)]


def execute_after_a_moment(connection: http.client.HTTPConnection, function_id: str) -> Times:
    """One execution: milliseconds over HTTP, and those of the function."""
    time.sleep(MOMENT_SECONDS)
    began = time.monotonic()
    execution: dict[str, Any] = request(
        connection, "POST", f"/functions/{function_id}/execute", {"input": {"name": "Ada"}}
    )
    elapsed = (time.monotonic() - began) * 1000
    assert execution["status"] == "COMPLETED", json.dumps(execution)
    return elapsed, execution["durationMs"]


def measure(connection: http.client.HTTPConnection, language: str) -> None:
    """One line for each language."""
    firsts, laters = list[Times](), list[Times]()
    for number, source in enumerate(sources(language)):
        function_id = register(connection, f"{language}-{number}", language, source)
        firsts.append(execute_after_a_moment(connection, function_id))
        laters += [execute_after_a_moment(connection, function_id) for _ in range(LATER)]
    later, run = (statistics.median(times) for times in zip(*laters, strict=True))
    more = ", ".join(f"{first - later:+5.1f}" for first, _ in firsts)
    runs = ", ".join(f"{duration - run:+4.1f}" for _, duration in firsts)
    print(f"{language:<16} {later:5.1f} ms, the first of each {more}; the function alone {run:4.1f} ms, {runs}")


def main() -> None:
    """Measure and print."""
    with kiln(toolchains=SHARED) as whole:
        connection = Api(whole.port, whole.home)
        ready_function(connection)
        for language in sorted(GREETINGS.keys() - {"wat"}):
            if reason := LANGUAGES[language].missing():
                print(f"{language:<16} {reason}")
            else:
                measure(connection, language)


if __name__ == "__main__":
    main()
