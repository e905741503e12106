"""The hot statements read by their indexes."""

from collections.abc import Callable
from typing import Any

import pytest
from kombu import Connection

Connect = Callable[..., Connection]
Rows = Callable[..., list[Any]]


@pytest.mark.parametrize("state", ["delayed", "leased"])
def test_a_claim_reads_only_ready_messages_by_its_index(rows: Rows, state: str) -> None:
    holder = "'x'" if state == "leased" else "NULL"
    rows(
        "INSERT INTO broker.messages (queue, state, holder, payload)"  # noqa: S608
        f" SELECT 'work', '{state}', {holder}, '{{}}' FROM generate_series(1, 5000)"
    )
    rows("INSERT INTO broker.messages (queue, payload) SELECT 'work', '{}' FROM generate_series(1, 5000)")
    rows("ANALYZE broker.messages")
    plan = rows(
        "EXPLAIN (FORMAT JSON) SELECT id FROM broker.messages WHERE queue = 'work' AND state = 'ready'"
        " ORDER BY priority DESC, id LIMIT 2 FOR UPDATE SKIP LOCKED"
    )
    assert "ix_messages_ready" in str(plan)
    assert "'Sort'" not in str(plan)
