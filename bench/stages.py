"""Stamps of one execution's way, for `bench/latency.py`: the entries of web and worker with their steps wrapped.

`python -m bench.stages` is the web, `celery -A bench.stages worker …` the worker. Every step appends a line to the
file that BENCH_STAMPS names: `<execution id> <step> <nanoseconds of CLOCK_MONOTONIC>`, a clock that all processes
share.
"""

import os
import runpy
import time
from collections.abc import Callable
from typing import Any

from app.broker.channel import Channel
from app.executions import queries, running, service, submission_queries
from app.executions.waiting import Waiters

_STAMPS = os.open(os.environ["BENCH_STAMPS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def stamp(execution_id: object, step: str) -> None:
    """Write one line."""
    os.write(_STAMPS, f"{execution_id} {step} {time.monotonic_ns()}\n".encode())


def wrap(owner: Any, name: str, identify: Callable[..., object], before: str | None, after: str | None) -> None:
    """Stamp the beginning and the end of a function."""
    original = getattr(owner, name)

    def stamped(*args: Any, **kwargs: Any) -> Any:
        execution_id = identify(*args, **kwargs)
        if before:
            stamp(execution_id, before)
        result = original(*args, **kwargs)
        if after:
            stamp(execution_id, after)
        return result

    setattr(owner, name, stamped)


def stamp_claims() -> None:
    """A claim knows whose it is only afterwards."""
    original = Channel.claim

    def claim(self: Channel, queue: str, limit: int, **more: Any) -> list[dict[str, Any]]:
        began = time.monotonic_ns()
        messages: list[dict[str, Any]] = original(self, queue, limit, **more)
        for message in messages:
            os.write(_STAMPS, f"{message['headers']['id']} claim {began}\n".encode())
            stamp(message["headers"]["id"], "claimed")
        return messages

    Channel.claim = claim  # type: ignore[method-assign]


wrap(service, "submit_and_wait", lambda _p, _u, _w, submission, **_: submission.id, "seen", "answered")
wrap(submission_queries, "submit", lambda _c, _u, submission, **_: submission.id, "submit", "submitted")
wrap(running, "execute", lambda _p, _m, _k, claimed: claimed.execution_id, "in_child", None)
wrap(queries, "finish", lambda _c, _d, execution_id, _e: execution_id, "finish", "finished")
wrap(Waiters, "_resolve", lambda _self, execution_id, _result: execution_id, "heard", None)
stamp_claims()

if __name__ == "__main__":
    runpy.run_module("wsgi", run_name="__main__")
else:
    from worker import celery

    app = celery
