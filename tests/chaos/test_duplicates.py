"""R9: executions have several messages, and leases are taken away early."""

import pytest

from tests.chaos.conftest import Report
from tests.chaos.installation import Installation
from tests.chaos.nemesis import Nemesis
from tests.chaos.scale import Scale

_COPY = """
INSERT INTO broker.messages (queue, priority, function_id, execution_id, payload)
SELECT queue, priority, function_id, execution_id, payload
FROM broker.messages, generate_series(1, 1 + (id % 4)::integer) WHERE state = 'ready'
"""

_TAKE_AWAY = """
UPDATE broker.messages SET state = 'ready', holder = NULL
WHERE id IN (SELECT id FROM broker.messages WHERE state = 'leased' ORDER BY random() LIMIT 2)
"""


@pytest.mark.promise("R9", "However often it is delivered, an execution has one result: that of its latest attempt.")
def test_duplicate_deliveries_are_harmless(kiln: Installation, report: Report, scale: Scale) -> None:
    executions, patience = scale(100, 2_000), scale(90, 600)
    kiln.submit([number % 150 for number in range(executions)])
    kiln.rows(_COPY)
    ((messages,),) = kiln.rows("SELECT count(*) FROM broker.messages WHERE queue = 'execute'")
    kiln.fleet.workers(3)
    with Nemesis(lambda: kiln.rows(_TAKE_AWAY), every_seconds=0.3) as nemesis:
        kiln.await_rest(seconds=patience)
    verdict = kiln.verdict()
    assert kiln.count("status = 'COMPLETED'") == executions
    report(verdict, f"{messages} messages, {2 * nemesis.acts} leases taken away")


def test_without_tokens_an_earlier_attempts_result_stands(kiln: Installation) -> None:
    """Must fail: of two that run at a time, the first to end writes."""
    # There are more children than executions, so that copies are begun while the originals run
    kiln.submit([3_000] * 4)
    kiln.rows(_COPY)
    kiln.fleet.workers(3, broken="unfenced")
    assert "I5" in kiln.verdict().broken
