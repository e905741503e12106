"""How long a synchronous execution of a trivial function takes on an idle platform, and where the time goes.

    python -m bench.latency            # starts a whole Kiln of its own on loopback, measures, stops it

Prints p50 and p99 over HTTP (one connection, one request after the other), then the median of every stage, taken from
stamps that the processes write (see `bench/stages.py`; stamping itself costs some ten microseconds a stage). Beside
every line stand the medians of two yardsticks from the same moment, because a shared machine may be twice as slow a
minute later: a bare `SELECT 1` by psycopg over the same socket, and `GET /livez`, which does nothing.
"""

import http.client
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from app.addresses import embedded_url
from app.local.administrator import administrator_of
from app.local.postgres import EmbeddedPostgres
from bench.sources import SHARED

ROOT = Path(__file__).resolve().parents[1]
READY_SECONDS = 120
WARM_UP, CALLS = 200, 1000

ECHO = """
(module
  (memory (export "memory") 2)
  (func (export "alloc") (param i32) (result i32) (i32.const 1024))
  (func (export "handle") (param $p i32) (param $n i32) (result i64)
    (i64.or (i64.shl (i64.extend_i32_u (local.get $p)) (i64.const 32)) (i64.extend_i32_u (local.get $n)))))
"""

#: Each stage from one stamp to another. Waking the worker runs beside the way back from the submit statement.
STAGES = (
    ("HTTP in, parsing", "sent", "submit"),
    ("enqueue (one statement)", "submit", "submitted"),
    ("wait for claim", "submitted", "claim"),
    ("claim (one statement)", "claim", "claimed"),
    ("hand-over to the child", "claimed", "in_child"),
    ("run", "in_child", "finish"),
    ("settle, until the waiter hears", "finish", "heard"),
    ("wake-up of the request", "heard", "answered"),
    ("HTTP out", "answered", "received"),
)


class Api(http.client.HTTPConnection):
    """A connection to a Kiln on this machine, whose first administrator asks."""

    def __init__(self, port: int, home: Path) -> None:
        super().__init__("127.0.0.1", port)
        self.authorization = authorization_of(home)


def authorization_of(home: Path) -> str:
    """The header that lets in the first administrator of a home."""
    known = administrator_of(home, embedded_url(home))
    assert known is not None
    return f"Bearer {known.key}"


@contextmanager
def kiln(home: Path, *, stamped: bool) -> Iterator[tuple[int, Path]]:
    """A whole Kiln on a port of its own; answers the port and the file of stamps."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    stamps = home / "stamps"
    environment = os.environ | {
        "KILN_HOME": str(home),
        "KILN_LOG_LEVEL": "info",
        "BENCH_STAMPS": str(stamps),
        "PORT": str(port),
    }
    celery_app, web = ("bench.stages", "bench.stages") if stamped else ("worker", "wsgi")
    celery = [sys.executable, "-m", "celery", "-A", celery_app, "worker", "--pool", "prefork"]
    celery += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    commands = [
        [*celery, "--queues", "compile", "--concurrency", "1", "--hostname", "compile@%h"],
        [*celery, "--queues", "execute", "--concurrency", "2", "--hostname", "execute@%h"],
        [sys.executable, "-m", web],
    ]
    if not (home / "toolchains").exists():
        SHARED.mkdir(exist_ok=True)
        (home / "toolchains").symlink_to(SHARED)
    with EmbeddedPostgres(home):
        release = [sys.executable, "-m", "app.operations.release"]
        subprocess.run(release, cwd=ROOT, env=environment, check=True, capture_output=True)
        with (home / "processes.log").open("wb") as log:
            processes = [
                subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log) for command in commands
            ]
        try:
            await_ready(port)
            yield port, stamps
        finally:
            for running in processes:
                running.send_signal(signal.SIGTERM)
            for running in processes:
                running.wait(timeout=30)


def request(
    connection: http.client.HTTPConnection, method: str, path: str, body: Any = None, **more: str
) -> dict[str, Any]:
    """One JSON request; `more` are headers, with underscores for their hyphens."""
    headers = {"Content-Type": "application/json"} | {name.replace("_", "-"): text for name, text in more.items()}
    if isinstance(connection, Api):
        headers["Authorization"] = connection.authorization
    connection.request(method, path, json.dumps(body) if body is not None else None, headers)
    response = connection.getresponse()
    answer: dict[str, Any] = json.loads(response.read())
    return answer


def await_ready(port: int) -> None:
    """Until `/readyz` answers 200."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if request(http.client.HTTPConnection("127.0.0.1", port), "GET", "/readyz")["status"] == "UP":
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise TimeoutError("Kiln did not become ready")


def await_languages(connection: http.client.HTTPConnection) -> None:
    """Wait until compile workers have built what compilations share, which would be measured along."""
    while any(one["status"] == "preparing" for one in request(connection, "GET", "/languages")["items"]):
        time.sleep(1)


def register(connection: http.client.HTTPConnection, name: str, language: str, source: str) -> str:
    """The id of a function that has just become READY; raises TimeoutError where that takes minutes."""
    deadline = time.monotonic() + READY_SECONDS
    body = {"name": name, "language": language, "source": source}
    function_id: str = request(connection, "POST", "/functions", body)["id"]
    while (function := request(connection, "GET", f"/functions/{function_id}"))["status"] != "READY":
        assert function["status"] != "FAILED", function
        if time.monotonic() > deadline:
            raise TimeoutError(name)
        time.sleep(0.005)
    return function_id


def ready_function(connection: http.client.HTTPConnection) -> str:
    """The id of a compiled echo, once nothing else is compiled any more."""
    function_id = register(connection, "bench-echo", "wat", ECHO)
    await_languages(connection)
    return function_id


def measure(port: int, home: Path, *, pause_seconds: float) -> dict[str, tuple[int, int]]:
    """Execute again and again; answers when each request was sent and its answer received, by execution id."""
    connection = Api(port, home)
    path = f"/functions/{ready_function(connection)}/execute"
    times = {}
    for number in range(WARM_UP + CALLS):
        sent = time.monotonic_ns()
        execution = request(connection, "POST", path, {"input": {"n": number}})
        received = time.monotonic_ns()
        if execution["status"] != "COMPLETED":
            raise AssertionError(execution)
        if number >= WARM_UP:
            times[execution["id"]] = (sent, received)
        time.sleep(pause_seconds)
    return times


def percentile(values: list[float], share: float) -> float:
    """The value that this share of the values does not exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def median_ms(call: Callable[[], object], *, calls: int = CALLS) -> float:
    """How long one call takes, of many."""
    durations = []
    for _ in range(calls):
        began = time.monotonic_ns()
        call()
        durations.append((time.monotonic_ns() - began) / 1e6)
    return statistics.median(durations)


def print_yardsticks(home: Path, port: int) -> None:
    """One line: what the machine gives at this moment."""
    web = http.client.HTTPConnection("127.0.0.1", port)
    with psycopg.connect(embedded_url(home), autocommit=True) as connection:
        statement = median_ms(lambda: connection.execute("SELECT 1"))
    nothing = median_ms(lambda: request(web, "GET", "/livez"))
    print(f"  at this moment: a bare SELECT 1 {statement:.3f} ms, GET /livez {nothing:.3f} ms")


def print_totals(name: str, times: dict[str, tuple[int, int]]) -> None:
    """One line: p50, p99 and maximum in milliseconds."""
    totals = [(received - sent) / 1e6 for sent, received in times.values()]
    row = (percentile(totals, 0.5), percentile(totals, 0.99), max(totals))
    print(f"{name:<36} p50 {row[0]:6.2f} ms   p99 {row[1]:6.2f} ms   max {row[2]:6.2f} ms")


def print_stages(times: dict[str, tuple[int, int]], stamps: Path) -> None:
    """The median of every stage."""
    by_execution: dict[str, dict[str, int]] = defaultdict(dict)
    for line in stamps.read_text().splitlines():
        execution_id, step, at = line.split()
        by_execution[execution_id].setdefault(step, int(at))
    for execution_id, (sent, received) in times.items():
        by_execution[execution_id] |= {"sent": sent, "received": received}
    for name, begin, end in STAGES:
        values = [(steps[end] - steps[begin]) / 1e6 for key, steps in by_execution.items() if key in times]
        print(f"  {name:<34} {statistics.median(values):6.2f} ms   p99 {percentile(values, 0.99):6.2f} ms")


def main() -> None:
    """Measure untouched, paused, then with stamps."""
    for name, stamped, pause in (
        ("back to back", False, 0.0),
        ("with 10 ms pauses", False, 0.01),
        ("stamped", True, 0.0),
    ):
        with (
            tempfile.TemporaryDirectory(prefix="kiln-bench-") as home,
            kiln(Path(home), stamped=stamped) as (port, stamps),
        ):
            times = measure(port, Path(home), pause_seconds=pause)
            print_totals(name, times)
            print_yardsticks(Path(home), port)
            if stamped:
                print_stages(times, stamps)


if __name__ == "__main__":
    main()
