"""What it costs to send a task in the transaction that writes its row, and the floor beneath."""

import json
import time
from collections.abc import Callable
from typing import Any

import psycopg

from app.broker import Place, addressed_to, publishing_in, publishing_statements, statements
from bench.broker.producers import CeleryProducer

ROWS = 2000

TABLE = "CREATE TABLE IF NOT EXISTS orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, what text NOT NULL)"
ROW = "INSERT INTO orders (what) VALUES (%(what)s)"

#: The row and its message in one statement, as Kiln's own hot path writes them.
BOTH = f"""
WITH accepted AS (
    INSERT INTO orders (what) VALUES (%(what)s)
    RETURNING NULL::uuid AS function_id, NULL::uuid AS execution_id, %(payload)s::json AS payload
), {publishing_statements.PUBLISH_ACCEPTED}
SELECT count(*) FROM woken
"""


def rates(url: str) -> dict[str, float]:
    """Rows a second of each way, by its name, each committed durably by itself."""
    sending = CeleryProducer(url)
    message = addressed_to("bench", Place(0)) | {"payload": json.dumps({"body": "x" * 600})}
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(TABLE)
        sending.send(-1)

        def row() -> None:
            connection.execute(ROW, {"what": "x"})

        def row_and_message() -> None:
            connection.execute(BOTH, {"what": "x"} | message)

        def row_and_task() -> None:
            with connection.transaction(), publishing_in(connection):
                connection.execute(ROW, {"what": "x"})
                sending.send(0)

        found = {
            "the row alone": _rate(row),
            "row and message, one statement": _rate(row_and_message),
            "row and task.delay(), one transaction": _rate(row_and_task),
        }
        connection.execute("TRUNCATE broker.messages, orders")
    sending.close()
    return found


def floor(url: str, *, batch: int) -> dict[str, float]:
    """Messages a second that one psycopg connection inserts, and claims while it deletes those before."""
    insert = "INSERT INTO broker.messages (queue, payload) SELECT 'floor', %s::json FROM generate_series(1, %s)"
    claim = statements.CLAIM.format(
        acknowledging=statements.ACKNOWLEDGING, durability="", on_claim=statements.CLAIM_PLAIN
    )
    parameters: dict[str, Any] = {"queue": "floor", "limit": batch, "holder": "floor", "lease": "15 s"}
    parameters |= {"priorities": [0], "after": [0], "acked_ids": [], "acked_tokens": []}
    payload = json.dumps({"body": "x" * 600})
    with psycopg.connect(url, autocommit=True, options="-c enable_seqscan=off") as connection:

        def put() -> None:
            connection.execute(insert, (payload, batch))

        def take() -> None:
            rows = connection.execute(claim, parameters).fetchall()
            parameters["acked_ids"], parameters["acked_tokens"] = [row[0] for row in rows], [row[2] for row in rows]
            parameters["after"] = [max(row[0] for row in rows)]

        rounds = max(ROWS // batch, 50)
        found = {"insert": batch * _rate(put, rounds), "claim and delete": batch * _rate(take, rounds)}
        connection.execute("TRUNCATE broker.messages")
    return found


def _rate(call: Callable[[], None], count: int = ROWS) -> float:
    began = time.monotonic()
    for _ in range(count):
        call()
    return count / (time.monotonic() - began)
