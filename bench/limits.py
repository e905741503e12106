"""What turns and limits give and cost: others beside ten thousand that wait, many users at a time, a rate, a backlog.

    python -m bench.limits        # starts a whole Kiln of its own on loopback, measures, stops it (six minutes)

Executions nap for 50 ms, so that two children do forty a second on any machine. What one waits is its `queueMs`, from
its acceptance to its claim by the database's clock; beside it stands the same while nobody else is there. What a rate
costs is measured by requests in turn, to a function without one and to one with a rate that is never reached.
"""

import statistics
import time
from typing import Any, Final

import psycopg

from app.accounts import credentials, first, people
from app.accounts.domain import Principal
from app.audit.domain import Actor, Via
from app.platform import Platform
from app.rules import Role
from app.settings import load_settings
from bench.latency import ECHO, Api, await_languages, percentile, register, request
from bench.sources import SHARED
from bench.whole import Kiln, kiln

NAP: Final = """
(module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (func (export "alloc") (param i32) (result i32) (i32.const 1024))
  (func (export "handle") (param $p i32) (param $n i32) (result i64)
    (i32.store (i32.const 16) (i32.const 1))
    (i64.store (i32.const 24) (i64.const 50000000))
    (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128)))
    (i64.or (i64.shl (i64.extend_i32_u (local.get $p)) (i64.const 32)) (i64.extend_i32_u (local.get $n)))))
"""

BATCH: Final = 1000
QUEUED: Final = 10_000
ONE_A_SECOND: Final = 40
USERS, EACH = 20, 100
RATED: Final = 400
BEFORE: Final = 100_000
CALLS: Final = 200


class Bench:
    """One Kiln with two functions, its administrator, and as many other users as are asked for."""

    def __init__(self, whole: Kiln) -> None:
        self.whole = whole
        self.root = Api(whole.port, whole.home)
        await_languages(self.root)
        self.nap = f"/functions/{register(self.root, 'nap', 'wat', NAP)}"
        self.echo = f"/functions/{register(self.root, 'echo', 'wat', ECHO)}"
        environment = {"DATABASE_URL": whole.url, "KILN_HOME": str(whole.home)}
        self._platform = Platform.of(load_settings(environment), process="bench")
        self._number = 0

    def user(self) -> Api:
        """Somebody new."""
        self._number += 1
        email = f"user{self._number}@example.org"
        root = first.program(self._platform)
        user = people.create_user(self._platform, root, email=email, name=email, role=Role.DEV, password=None).user
        owner = Principal(user.id, email, email, Role.DEV, frozenset(), Actor(user.id, email, Via.SYSTEM))
        _, key = credentials.create_key(self._platform, owner, name="bench", scopes=None, expires_at=None)
        api = Api(self.whole.port, self.whole.home)
        api.authorization = f"Bearer {key}"
        return api

    def rows(self, statement: str) -> list[Any]:
        """Look into the database."""
        with psycopg.connect(self.whole.url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def queue(self, api: Api, function: str, count: int) -> None:
        """Have so many wait."""
        api.close()  # One that was silent for long is closed from the other side; it opens again by itself.
        for first_one in range(0, count, BATCH):
            inputs = list(range(min(BATCH, count - first_one)))
            assert "executionIds" in request(api, "POST", f"{function}/execute-batch", {"inputs": inputs})

    def clear(self) -> None:
        """Let nothing wait any more."""
        self.root.close()
        request(self.root, "POST", "/executions/cancel", {"filter": {"status": "PENDING"}})
        time.sleep(2)

    def waits(self, api: Api, count: int) -> list[float]:
        """One execution a second, without waiting; answers how long each waited, in ms."""
        ids = []
        for _ in range(count):
            ids.append(request(api, "POST", f"{self.nap}/execute", {"input": 1}, Prefer="respond-async")["id"])
            time.sleep(1)
        ended = [request(api, "GET", f"/executions/{one}?wait=60") for one in ids]
        return [one["queueMs"] for one in ended]


def fairness(bench: Bench) -> None:
    """One a second, alone and beside ten thousand of another user's; what the other still gets."""
    somebody = bench.user()
    alone = bench.waits(somebody, ONE_A_SECOND // 2)
    bench.queue(bench.root, bench.nap, QUEUED)
    time.sleep(2)
    before, began = _done(bench), time.monotonic()
    beside = bench.waits(somebody, ONE_A_SECOND)
    rate = (_done(bench) - before - ONE_A_SECOND) / (time.monotonic() - began)
    print(f"one a second, alone                {_waits(alone)}")
    print(f"beside {QUEUED:,} of another user's   {_waits(beside)} (goal 1000 at most)")
    print(f"    the other user still gets {rate:.1f}/s of 40 (goal 32)")
    bench.clear()


def shares(bench: Bench) -> None:
    """Twenty users, one after the other with all of theirs; what each had got when half was done."""
    users = [bench.user() for _ in range(USERS)]
    for user in users:
        bench.queue(user, bench.nap, EACH)
    while bench.rows("SELECT count(*) FROM broker.messages WHERE queue = 'execute'")[0][0] > USERS * EACH / 2:
        time.sleep(0.2)
    counts = [
        row[0]
        for row in bench.rows(
            "SELECT count(*) FILTER (WHERE status = 'COMPLETED') FROM executions WHERE caller_id IN "
            "(SELECT caller_id FROM executions WHERE status = 'PENDING') GROUP BY caller_id"
        )
    ]
    index = sum(counts) ** 2 / (len(counts) * sum(count**2 for count in counts))
    done = f"{min(counts)} to {max(counts)} done"
    print(f"{USERS} users with {EACH} each, at half     {done}, Jain's index {index:.4f} (goal 0.95)")
    bench.clear()


def rates(bench: Bench) -> None:
    """What a rate adds to a request that does not wait."""
    bench.root.close()
    rated = f"/functions/{register(bench.root, 'rated', 'wat', ECHO)}"
    request(bench.root, "PUT", rated, {"limits": {"executionsPerMinute": 1_000_000}})
    durations: dict[str, list[float]] = {bench.echo: [], rated: []}
    for _ in range(RATED):
        for function, found in durations.items():
            began = time.perf_counter()
            request(bench.root, "POST", f"{function}/execute", {"input": 1}, Prefer="respond-async")
            found.append((time.perf_counter() - began) * 1000)
    more = statistics.median(a - b for a, b in zip(durations[rated], durations[bench.echo], strict=True))
    plain = statistics.median(durations[bench.echo])
    print(f"a rate                             {more:+.2f} ms p50 to {plain:.2f} (goal 0.3)")
    bench.clear()


def backlog(bench: Bench) -> None:
    """An execution that is waited for, with nothing queued and with a hundred thousand of another user's, which are
    short and being done meanwhile; and what it takes to accept one.
    """
    somebody = bench.user()
    bench.root.close()
    idle = _executed(bench, somebody)
    before = _accepted(bench, somebody)
    bench.clear()
    somebody.close()
    bench.whole.stop("execute")
    bench.queue(bench.root, bench.echo, BEFORE)
    somebody.close()
    after = _accepted(bench, somebody)
    bench.whole.start("execute")
    time.sleep(10)
    somebody.close()
    busy = _executed(bench, somebody)
    for what, durations, accepted in (("nothing queued", idle, before), (f"{BEFORE:,} queued", busy, after)):
        p50, p99 = statistics.median(durations), percentile(durations, 0.99)
        print(f"an execution, {what:<20} p50 {p50:6.2f}, p99 {p99:6.2f} ms; accepted in {accepted:.2f} ms")


def _accepted(bench: Bench, api: Api) -> float:
    durations = []
    for _ in range(CALLS):
        began = time.perf_counter()
        request(api, "POST", f"{bench.echo}/execute", {"input": 1}, Prefer="respond-async")
        durations.append((time.perf_counter() - began) * 1000)
    return statistics.median(durations)


def _executed(bench: Bench, api: Api) -> list[float]:
    durations = []
    for _ in range(CALLS):
        began = time.perf_counter()
        answer = request(api, "POST", f"{bench.echo}/execute", {"input": 1})
        durations.append((time.perf_counter() - began) * 1000)
        assert answer["status"] == "COMPLETED", answer
    return durations


def _done(bench: Bench) -> int:
    return int(bench.rows("SELECT count(*) FROM executions WHERE status = 'COMPLETED'")[0][0])


def _waits(waits: list[float]) -> str:
    p50, p99 = statistics.median(waits), percentile(waits, 0.99)
    return f"p50 {p50:6.1f}, p99 {p99:6.1f}, max {max(waits):6.1f} ms in the queue"


def main() -> None:
    """Measure and print."""
    with kiln(toolchains=SHARED) as whole:
        bench = Bench(whole)
        fairness(bench)
        shares(bench)
        rates(bench)
        backlog(bench)


if __name__ == "__main__":
    main()
