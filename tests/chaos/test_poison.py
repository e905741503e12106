"""R10: messages that kill whoever touches them, and messages that nobody can read."""

import json
import time
from typing import Any

import pytest

from app.broker.delivery import SETTLED_BY_TASK
from tests.chaos.conftest import Report
from tests.chaos.installation import Installation
from tests.chaos.scale import Scale
from tests.patience import until

LARGE = "x" * 5_000_000

DEATHS = ["SIGSEGV", "SIGKILL", "exit"]

ENVELOPE: dict[str, Any] = {
    "body": "[[], {}, {}]",
    "content-type": "application/json",
    "content-encoding": "utf-8",
    "headers": {"task": "executions.run", "id": "x", "lang": "py"},
    "properties": {"delivery_info": {"exchange": "", "routing_key": "execute"}, "body_encoding": "utf-8"},
}


@pytest.mark.promise("R10", "What kills its worker three times is set aside with every byte; others go on.")
def test_what_kills_its_worker_is_set_aside_and_others_go_on(kiln: Installation, report: Report, scale: Scale) -> None:
    poisons, executions, patience = scale(1, 20), scale(60, 2_000), scale(90, 300)
    worker = kiln.fleet.worker(concurrency=4, broken="mortal")
    kiln.submit(DEATHS * poisons)
    kiln.submit([number % 40 for number in range(executions)])
    verdict = kiln.verdict(seconds=patience)
    assert kiln.count("status = 'COMPLETED'") == executions
    assert kiln.count("status = 'FAILED' AND error_type = 'WORKER_LOST' AND attempts = 3") == len(DEATHS) * poisons
    assert kiln.rows("SELECT DISTINCT reason, losses FROM broker.dead") == [("worker_lost", 3)]
    assert worker.exits == []
    report(verdict, f"{len(DEATHS) * poisons} that kill")


def test_without_counting_losses_poison_goes_round_for_ever(kiln: Installation) -> None:
    """Must fail: every worker is killed by it, again and again."""
    kiln.fleet.worker(broken="mortal,forgiving")
    kiln.submit(["SIGKILL"])
    kiln.until("attempts > 3")
    assert kiln.count("status IN ('PENDING', 'RUNNING')") == 1


def test_what_nobody_can_read_is_set_aside_with_every_byte(kiln: Installation) -> None:
    unreadable = {
        "no message": {"nonsense": True},
        "a text": "nonsense",
        "an unknown task": ENVELOPE | {"headers": {"task": "nobody.knows", "id": "x", "lang": "py"}},
        "no task": ENVELOPE | {"headers": {}},
        "a body that is no JSON": ENVELOPE | {"body": "{{{"},
        "a body of another shape": ENVELOPE | {"body": "42"},
        "arguments that the task does not take": ENVELOPE
        | {"body": '[[1, 2], {"no": 1}, {}]', "properties": ENVELOPE["properties"] | {SETTLED_BY_TASK: True}},
        "another content type": ENVELOPE | {"content-type": "application/x-python-serialize"},
        "a NUL": {"headers": {"task": "a\0b"}},
        "half a character": ENVELOPE | {"headers": {"task": "nobody.knows\ud800", "id": "x", "lang": "py"}},
        "a body in an unknown encoding": ENVELOPE | {"properties": ENVELOPE["properties"] | {"body_encoding": 5}},
        "a time limit that is none": ENVELOPE | {"headers": ENVELOPE["headers"] | {"timelimit": "x"}},
        "a header of 5 MB": ENVELOPE | {"headers": {"task": "nobody.knows", "id": "x", "lang": "py", "x": LARGE}},
    }
    worker = kiln.fleet.worker()
    insert = "INSERT INTO broker.messages (queue, priority, payload) VALUES ('execute', 6, %s)"
    for payload in unreadable.values():
        kiln.rows(insert, json.dumps(payload))
    kiln.submit(range(20))
    # Then others are served, and each of these is kept
    kiln.verdict().assert_kept()
    kept = [payload for (payload,) in kiln.rows("SELECT payload FROM broker.dead")]
    missing = [name for name, payload in unreadable.items() if payload not in kept]
    assert missing == []
    assert worker.exits == []


def test_a_message_of_a_newer_kiln_waits_for_a_newer_worker(kiln: Installation) -> None:
    kiln.submit([0])
    kiln.rows("UPDATE broker.messages SET payload = jsonb_set(payload::jsonb, '{headers,schema}', '99')::json")
    worker = kiln.fleet.worker()
    until(lambda: kiln.rows("SELECT FROM broker.messages WHERE state = 'delayed' AND requeues = 1"))
    time.sleep(1)
    kiln.rows("UPDATE broker.messages SET payload = jsonb_set(payload::jsonb, '{headers,schema}', '1')::json")
    kiln.verdict().assert_kept()
    assert worker.exits == []
