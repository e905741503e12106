"""What the life of functions and executions costs: keys, replays, cancelling, activating.

    python -m bench.life

A whole Kiln. Requests with an Idempotency-Key and without one are sent in turn, without waiting for their ends. Then a
running function is cancelled, again and again, and what stops is its worker's child: it counts when the next execution
ends. Versions are activated in turn, and executed at once. At last many executions are replayed by a filter, and are
accepted when the request is answered.
"""

import statistics
import time
from typing import Final
from uuid import uuid4

from bench.latency import ECHO, Api, percentile, ready_function, register, request
from bench.sources import SHARED
from bench.whole import kiln

KEYED: Final = 500
CANCELLED: Final = 20
ACTIVATED: Final = 100
REPLAYED: Final = 10_000
AT_ONCE: Final = 1_000

LOOP: Final = """
(module
  (memory (export "memory") 1)
  (func (export "alloc") (param $n i32) (result i32) (i32.const 1024))
  (func (export "handle") (param $p i32) (param $n i32) (result i64) (loop $again (br $again)) (i64.const 0)))
"""


def main() -> None:
    """Print a line for each."""
    with kiln(toolchains=SHARED) as whole:
        api = Api(whole.port, whole.home)
        echo = f"/functions/{ready_function(api)}"
        keys(api, echo)
        cancelling(api)
        activating(api, echo)
        replaying(api, echo)


def keys(api: Api, function: str) -> None:
    """What a key adds to a request that does not wait."""
    plain, keyed = list[float](), list[float]()
    for number in range(KEYED):
        for durations, more in ((plain, {}), (keyed, {"Idempotency_Key": str(uuid4())})):
            began = time.perf_counter()
            execution = request(api, "POST", f"{function}/execute", {"input": number}, Prefer="respond-async", **more)
            durations.append((time.perf_counter() - began) * 1000)
            assert execution["status"] == "PENDING", execution
    more_ms = statistics.median(with_key - without for with_key, without in zip(keyed, plain, strict=True))
    print(f"an Idempotency-Key     {more_ms:+6.2f} ms p50 to {statistics.median(plain):.2f}")
    await_rest(api)


def cancelling(api: Api) -> None:
    """How soon a function that runs is stopped: both of the worker's children are busy, and one is waited for."""
    loop = f"/functions/{register(api, 'bench-loop', 'wat', LOOP)}"
    request(api, "PUT", loop, {"limits": {"timeoutMs": 60_000}})
    nothing = f"/functions/{register(api, 'bench-nothing', 'wat', ECHO)}"
    for function in (loop, nothing):
        while request(api, "GET", function)["status"] != "READY":
            time.sleep(0.1)
    durations = []
    for _ in range(CANCELLED):
        running = [request(api, "POST", f"{loop}/execute", {}, Prefer="respond-async")["id"] for _ in range(2)]
        for execution in running:
            while request(api, "GET", f"/executions/{execution}")["status"] != "RUNNING":
                time.sleep(0.01)
        began = time.perf_counter()
        assert request(api, "POST", f"/executions/{running[0]}/cancel")["status"] == "CANCELLED"
        assert request(api, "POST", f"{nothing}/execute", {})["status"] == "COMPLETED"
        durations.append((time.perf_counter() - began) * 1000)
        request(api, "POST", f"/executions/{running[1]}/cancel")
        await_rest(api)
    p50, most = statistics.median(durations), max(durations)
    print(
        f"a running function     {p50:6.0f} ms p50, {most:.0f} at most, from cancel to the next one's end (goal 1000)"
    )


def activating(api: Api, function: str) -> None:
    """How long it takes to let another version serve, and whether it does."""
    request(api, "PUT", function, {"language": "wat", "source": f"{ECHO};; again"})
    while request(api, "GET", function)["activeVersion"] != 2:
        time.sleep(0.1)
    durations = []
    for turn in range(ACTIVATED):
        wanted = 1 + turn % 2
        began = time.perf_counter()
        request(api, "POST", f"{function}/versions/{wanted}/activate")
        durations.append((time.perf_counter() - began) * 1000)
        execution = request(api, "POST", f"{function}/execute", {})
        assert (execution["version"], execution["status"]) == (wanted, "COMPLETED"), execution
    p50, p99 = statistics.median(durations), percentile(durations, 0.99)
    print(f"activating a version   {p50:6.1f} ms p50, {p99:.1f} p99, and serves the next request (goal 50)")


def replaying(api: Api, function: str) -> None:
    """How long it takes to accept what a filter chooses."""
    for _ in range(REPLAYED // AT_ONCE):
        request(api, "POST", f"{function}/execute-batch", {"inputs": list(range(AT_ONCE)), "version": 1})
    await_rest(api)
    wanted = {"functionId": function.rpartition("/")[2], "status": "COMPLETED"}
    began = time.perf_counter()
    answer = request(api, "POST", "/executions/replay", {"filter": wanted, "limit": REPLAYED})
    seconds = time.perf_counter() - began
    assert answer == {"count": REPLAYED}, answer
    print(f"replaying {REPLAYED:,}      {seconds:6.2f} s until all are accepted (goal 2)")
    began = time.perf_counter()
    cancelled = request(api, "POST", "/executions/cancel", {"filter": wanted | {"status": "PENDING"}})["count"]
    print(f"cancelling {cancelled:,}      {time.perf_counter() - began:6.2f} s")


def await_rest(api: Api) -> None:
    """Until nothing waits or runs."""
    while any(queue["ready"] + queue["leased"] for queue in request(api, "GET", "/operations/queues")["items"]):
        time.sleep(0.1)


if __name__ == "__main__":
    main()
