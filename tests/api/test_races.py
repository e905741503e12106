"""What is asked of a function at the moment at which something else of it ends: one waits for the other, and both are
done.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask.testing import FlaskClient

from app.functions import artifacts
from app.operations import letter_queries
from tests.api.answers import register, registered_ready
from tests.patience import until
from tests.programs import TRAP
from tests.workbench import Workbench

Rows = Callable[..., list[Any]]

WAITING = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


class Pause:
    """A function of ours that stops before it returns, until something else waits for its transaction."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> None:
        self._done, self._go_on, honest = threading.Event(), threading.Event(), getattr(module, name)

        def paused(*arguments: Any, **more: Any) -> Any:
            answer = honest(*arguments, **more)
            self._done.set()
            self._go_on.wait()
            return answer

        monkeypatch.setattr(module, name, paused)

    def meet(self, rows: Rows, one: Callable[[], Any], other: Callable[[], Any]) -> tuple[Any, Any]:
        """What both answer, of which the second is asked while the first stops."""
        with ThreadPoolExecutor(2) as threads:
            try:
                first = threads.submit(one)
                until(self._done.is_set)
                second = threads.submit(other)
                until(lambda: rows(WAITING), what="that the second waits")
            finally:
                self._go_on.set()
            return first.result(), second.result()


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("DELETE", "", None, 204),
        ("POST", "/versions/2/activate", None, 200),
        ("PUT", "/aliases/live", {"version": 2}, 201),
    ],
)
def test_whoever_changes_a_function_waits_for_the_end_of_a_compilation(
    client: FlaskClient,
    workbench: Workbench,
    rows: Rows,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    path: str,
    body: dict[str, Any] | None,
    status: int,
) -> None:
    # Given a version whose compilation is about to end
    url = f"/functions/{registered_ready(client, workbench)['id']}"
    client.put(url, json={"source": TRAP})
    message = workbench.claim(workbench.COMPILE)
    assert message is not None
    # When its function is changed
    pause = Pause(monkeypatch, artifacts, "store")
    _, response = pause.meet(
        rows,
        lambda: workbench.work(message),
        lambda: client.open(f"{url}{path}", method=method, json=body),
    )
    # Then both are done
    assert response.status_code == status, response.text
    assert rows("SELECT status, compile_attempts FROM versions WHERE number = 2") == [("READY", 1)]
    assert rows("SELECT active_version FROM functions") == [(2,)]
    assert rows("SELECT FROM broker.messages") == []


def test_a_function_is_deleted_while_its_dead_letter_is_redriven(
    client: FlaskClient, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"/functions/{register(client)['id']}"
    rows("UPDATE broker.messages SET state = 'dead', dead_reason = 'worker_lost', died_at = now()")
    rows("UPDATE versions SET status = 'FAILED', compile_error = 'lost', compiled_at = now()")
    ((letter_id,),) = rows("SELECT id FROM broker.messages")
    pause = Pause(monkeypatch, letter_queries, "delete_one")
    redriven, deleted = pause.meet(
        rows,
        lambda: client.post(f"/operations/dead-letters/{letter_id}/redrive"),
        lambda: client.delete(url),
    )
    assert (redriven.status_code, redriven.get_json()) == (202, {"count": 1})
    assert deleted.status_code == 204
    assert rows("SELECT FROM broker.messages") == []
