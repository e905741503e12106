"""What the execute path does under load: one after the other, many at a time, in batches, and while nothing happens.

    python -m bench.executions        # starts a whole Kiln of its own on loopback, measures, stops it

The open loop measures from the moment at which a request ought to have been sent. The load generator runs on the same
machine and is measured along. Beside each line stands what the machine gave at that moment: how much of its processors
others had meanwhile, and a bare `SELECT 1`, a durable commit and `GET /livez` as medians in milliseconds.
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import psycopg

from bench.counting import EVENT_WRITER, Counted, counting
from bench.latency import Api, authorization_of, median_ms, percentile, ready_function
from bench.load import Client, Load, closed_loop, open_loop, request_bytes
from bench.sources import SHARED
from bench.whole import Kiln, kiln

SECONDS = 10
SEQUENTIAL_CALLS = 1000
BATCH, BATCHES = 1000, 10
IDLE_SECONDS = 20


class Bench:
    """One Kiln with a function, and the requests that are sent to it."""

    def __init__(self, whole: Kiln) -> None:
        self.kiln = whole
        function_id = ready_function(Api(whole.port, whole.home))
        path, body = f"/functions/{function_id}/execute", b'{"input":{"n":1}}'
        key = f"Authorization: {authorization_of(whole.home)}\r\n"
        self.execute = request_bytes("POST", path, body, headers=key)
        self.submit = request_bytes("POST", path, body, headers=f"{key}Prefer: respond-async\r\n")
        inputs = json.dumps({"inputs": [{"n": number} for number in range(BATCH)]}).encode()
        self.batch = request_bytes("POST", f"{path}-batch", inputs, headers=key)

    def sequential(self, calls: int = SEQUENTIAL_CALLS) -> list[float]:
        """One client, one request after the other; ms."""
        client, durations = Client(self.kiln.port), []
        for _ in range(calls):
            began = time.monotonic()
            status, answer = client.call(self.execute)
            durations.append((time.monotonic() - began) * 1000)
            assert (status, b"COMPLETED" in answer) == (200, True), answer
        return durations

    def submit_batches(self) -> float:
        """Batches, one after the other; answers the seconds."""
        client, began = Client(self.kiln.port), time.monotonic()
        for _ in range(BATCHES):
            status, answer = client.call(self.batch)
            assert status == 202, answer
        return time.monotonic() - began

    def await_drained(self) -> None:
        """Until no execution is left to do."""
        with psycopg.connect(self.kiln.url, autocommit=True, application_name="bench") as connection:
            while connection.execute("SELECT 1 FROM broker.messages WHERE queue = 'execute' LIMIT 1").fetchone():
                time.sleep(0.02)

    @contextmanager
    def printing_cpu(self) -> Iterator[list[int]]:
        """A line with each part's processor time for an execution, and the yardsticks; the block appends how many
        executions it were.
        """
        before, done, busy, began = self.kiln.cpu_seconds(), list[int](), _busy_seconds(), time.monotonic()
        own = time.process_time()
        yield done
        after, elapsed = self.kiln.cpu_seconds(), time.monotonic() - began
        ours = sum(after.values()) - sum(before.values()) + time.process_time() - own
        others = (_busy_seconds() - busy - ours) / (elapsed * (os.cpu_count() or 1))
        used = {name: (seconds - before.get(name, 0.0)) / sum(done) * 1e6 for name, seconds in after.items()}
        parts = ", ".join(f"{name} {microseconds:.0f}" for name, microseconds in used.items())
        print(f"    us of processor time each: {parts}; others had {max(others, 0):.0%}; {self._yardsticks()}")

    def _yardsticks(self) -> str:
        web, livez = Client(self.kiln.port), request_bytes("GET", "/livez")
        with psycopg.connect(self.kiln.url, autocommit=True, application_name="bench") as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS yardstick (n integer)")
            statement = median_ms(lambda: connection.execute("SELECT 1"), calls=300)
            commit = median_ms(lambda: connection.execute("INSERT INTO yardstick VALUES (1)"), calls=100)
        nothing = median_ms(lambda: web.call(livez), calls=300)
        web.close()
        return f"SELECT 1 {statement:.3f}, commit {commit:.2f}, /livez {nothing:.2f}"


def _busy_seconds() -> float:
    """Processor time of the whole machine so far."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - times.iowait)


def print_latency(name: str, durations: list[float], *, rate: float | None = None, put_off: int = 0) -> None:
    """One line."""
    shares = "   ".join(f"p{share * 100:.0f} {percentile(durations, share):6.2f}" for share in (0.5, 0.9, 0.99))
    told = "" if rate is None else f"{rate:6.0f}/s   "
    answered = f"   {put_off} answered 202" if put_off else ""
    print(f"{name:<34} {told}{shares}   max {max(durations):6.2f} ms{answered}")


def print_load(name: str, load: Load) -> None:
    """One line, with the rate of the answers that were wanted."""
    rate = len(load.durations) / load.seconds
    print_latency(name, load.durations, rate=rate, put_off=load.put_off)


def measure_waiting(bench: Bench) -> None:
    """Requests that wait for their execution."""
    port = bench.kiln.port
    bench.sequential(300)
    with bench.printing_cpu() as done:
        print_latency("one client, idle", bench.sequential())
        done.append(SEQUENTIAL_CALLS)
    for arrivals in (200, 400):
        with bench.printing_cpu() as done:
            load = open_loop(port, bench.execute, rate=arrivals, seconds=SECONDS, status=200)
            print_load(f"open loop, {arrivals}/s by chance", load)
            done.append(len(load.durations) + load.put_off)
    for clients in (16, 64):
        with bench.printing_cpu() as done:
            load = closed_loop(port, bench.execute, clients=clients, seconds=SECONDS, status=200)
            print_load(f"closed loop, {clients} clients", load)
            done.append(len(load.durations) + load.put_off)


def measure_batches(bench: Bench) -> None:
    """Batches of a thousand, accepted and drained."""
    done = BATCH * BATCHES
    for _ in range(3):
        with bench.printing_cpu() as counted:
            counted.append(done)
            began = time.monotonic()
            accepting = bench.submit_batches()
            bench.await_drained()
            drained = done / (time.monotonic() - began)
            print(f"batches of {BATCH:<23} {done / accepting:6.0f}/s accepted, {drained:.0f}/s drained")


def measure_accepting(bench: Bench) -> None:
    """Single submissions without a worker."""
    bench.kiln.stop("execute")
    with bench.printing_cpu() as done:
        load = closed_loop(bench.kiln.port, bench.submit, clients=16, seconds=SECONDS / 2, status=202)
        print_load("accept only, 16 clients", load)
        done.append(len(load.durations))
    bench.kiln.start("execute")
    began = time.monotonic()
    bench.await_drained()
    print(f"    those drained: {len(load.durations) / (time.monotonic() - began):.0f}/s, the worker's start included")


def measure_costs(bench: Bench) -> None:
    """Statements and commits, counted."""
    calls = 300
    with counting(bench.kiln) as counted:
        bench.sequential(calls)
    print_counts("one client", counted, calls)
    with counting(bench.kiln) as counted:
        load = closed_loop(bench.kiln.port, bench.execute, clients=16, seconds=3, status=200)
    print_counts("16 clients", counted, len(load.durations))
    with counting(bench.kiln) as counted:
        bench.submit_batches()
        bench.await_drained()
    print_counts("in batches", counted, BATCH * BATCHES)
    time.sleep(3)
    with counting(bench.kiln) as counted:
        time.sleep(IDLE_SECONDS)
    for name, count in sorted(counted.statements.items()):
        print(f"idle: {name:<28} {count / counted.seconds:6.2f} statements/s")


def print_counts(name: str, counted: Counted, executions: int) -> None:
    """One line, for an execution. What the event writers do is not of the execution's way, and told apart."""
    apart = counted.statements[EVENT_WRITER]
    statements = counted.statements.total() - apart
    print(
        f"{name:<34} {statements / executions:.2f} statements, {counted.commits / executions:.2f} commits, "
        f"{counted.syncs / executions:.2f} flushes; {apart / executions:.2f} statements of events"
    )


def main() -> None:
    """Measure and print."""
    with kiln(toolchains=SHARED) as whole:
        bench = Bench(whole)
        measure_waiting(bench)
        measure_batches(bench)
        measure_costs(bench)
        measure_accepting(bench)


if __name__ == "__main__":
    main()
