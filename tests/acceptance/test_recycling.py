"""A worker's children are replaced after so many tasks, or so much memory, and nobody notices."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psutil
import pytest

from tests.acceptance.conftest import Client
from tests.acceptance.processes import LocalProcess
from tests.patience import until
from tests.programs import ECHO

Rows = Callable[..., list[Any]]

#: Fills most of its memory where its input begins with 1, then answers its input.
GREEDY = """
(module
  (memory (export "memory") 2)
  (func (export "alloc") (param $n i32) (result i32) (i32.const 1024))
  (func (export "handle") (param $p i32) (param $n i32) (result i64)
    (if (i32.eq (i32.load8_u (local.get $p)) (i32.const 49))
      (then
        (drop (memory.grow (i32.const 3500)))
        (memory.fill (i32.const 131072) (i32.const 1) (i32.const 229376000))))
    (i64.or (i64.shl (i64.extend_i32_u (local.get $p)) (i64.const 32)) (i64.extend_i32_u (local.get $n)))))
"""


class Watched:
    """The children that a worker has had."""

    def __init__(self, worker: LocalProcess) -> None:
        self._worker = worker
        self.seen: set[int] = set()
        self._done = threading.Event()

    def look(self) -> None:
        self.seen |= {child.pid for child in self._worker.children if child.status() != psutil.STATUS_ZOMBIE}

    def watch(self) -> None:
        while not self._done.wait(0.05):
            self.look()

    @contextmanager
    def watching(self) -> Iterator[None]:
        thread = threading.Thread(target=self.watch)
        thread.start()
        try:
            yield
        finally:
            self._done.set()
            thread.join()


@pytest.fixture
def compiled(api: Client, new_worker: Callable[..., LocalProcess]) -> Callable[..., str]:
    """Compiles a function."""
    worker = new_worker("compile", "compile-1")

    def compile_function(name: str, source: str, **limits: int) -> str:
        function_id = api.register(name, "wat", source, limits=limits)
        assert api.compiled(function_id)["status"] == "READY", worker.logs()
        return function_id

    return compile_function


def test_a_child_is_replaced_after_so_many_tasks_and_nothing_is_lost(
    api: Client, compiled: Callable[..., str], new_worker: Callable[..., LocalProcess], rows: Rows
) -> None:
    # Given children that may do five tasks each
    url = f"/functions/{compiled('echo', ECHO)}"
    worker = new_worker("execute", "mortal", KILN_CHILD_MAX_TASKS="5")
    watched = Watched(worker)
    # When some wait for forty executions, and nobody for another hundred
    with watched.watching(), ThreadPoolExecutor(6) as threads:
        batch = api("POST", f"{url}/execute-batch", json={"inputs": list(range(1000, 1100))})
        assert batch.status_code == 202
        answers = list(
            threads.map(lambda number: api.another()("POST", f"{url}/execute", json={"input": number}), range(40))
        )
        until(lambda: rows("SELECT FROM executions WHERE completed_at IS NULL") == [])
    # Then every one was run, once
    assert [answer.json()["output"] for answer in answers] == list(range(40))
    assert rows("SELECT status, attempts, count(*) FROM executions GROUP BY 1, 2") == [("COMPLETED", 1, 140)]
    assert rows("SELECT FROM broker.messages") == []
    # And no child did more than its share
    assert len(watched.seen) >= 40 / 5
    assert "exited with" not in worker.logs()


def test_a_child_is_replaced_after_so_much_memory_and_its_result_stands(
    api: Client, compiled: Callable[..., str], new_worker: Callable[..., LocalProcess], rows: Rows
) -> None:
    url = f"/functions/{compiled('greedy', GREEDY, memoryMb=256, timeoutMs=20_000)}/execute"
    worker = new_worker("execute", "modest", KILN_CHILD_MAX_MEMORY_MB="192")
    # Given children that have done something, which is not too much
    for _ in range(8):
        assert api("POST", url, json={"input": 0}).json()["output"] == 0
    before = {child.pid for child in worker.children}
    assert len(before) == 2
    # When one of them needs more memory than it may
    answer = api("POST", url, json={"input": 1}).json()
    # Then that is answered, and it alone is replaced
    assert (answer["status"], answer["output"], answer["attempts"]) == ("COMPLETED", 1, 1), answer
    until(lambda: len({child.pid for child in worker.children} & before) == 1 and len(worker.children) == 2)
    assert api("POST", url, json={"input": 0}).json()["output"] == 0
    assert rows("SELECT DISTINCT status, attempts FROM executions") == [("COMPLETED", 1)]


def test_compilers_are_replaced_too(api: Client, new_worker: Callable[..., LocalProcess], rows: Rows) -> None:
    worker = new_worker("compile", "mortal", KILN_CHILD_MAX_TASKS="2")
    watched = Watched(worker)
    with watched.watching():
        ids = [api.register(f"echo-{number}", "wat", f"{ECHO} ;; {number}") for number in range(8)]
        assert {api.compiled(function_id)["status"] for function_id in ids} == {"READY"}
    assert rows("SELECT DISTINCT compile_attempts FROM versions") == [(1,)]
    assert len(watched.seen) >= 4
