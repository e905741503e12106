"""R20: executions are cancelled at any moment of their lives."""

import random
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.chaos.conftest import Report
from tests.chaos.installation import Installation
from tests.chaos.scale import Scale
from tests.patience import until


@pytest.mark.promise("R20", "Of cancellation and completion exactly one wins, and a cancelled function is stopped.")
def test_of_cancellation_and_completion_exactly_one_wins(kiln: Installation, report: Report, scale: Scale) -> None:
    executions, patience = scale(120, 5_000), scale(90, 900)
    answers: dict[str, int] = {}

    def cancel(execution_id: str) -> None:
        time.sleep(random.random() * 0.4)
        answers[execution_id] = kiln.cancel(execution_id)

    kiln.submit([number * 37 % 120 for number in range(executions)])
    kiln.fleet.workers(2)
    with ThreadPoolExecutor(8) as threads:
        ids = [str(execution_id) for (execution_id,) in kiln.rows("SELECT id FROM executions ORDER BY random()")]
        list(threads.map(cancel, ids))
    verdict = kiln.verdict(seconds=patience)
    states = {str(execution_id): status for execution_id, status in kiln.rows("SELECT id, status FROM executions")}
    # Who was told that it is cancelled reads so ever after; who was told that it has ended reads its output.
    assert {(answers[one], states[one]) for one in ids} <= {(200, "CANCELLED"), (409, "COMPLETED")}
    won = sum(answer == 200 for answer in answers.values())
    assert 0 < won < executions
    # To ask again changes nothing.
    assert [kiln.cancel(one) for one in ids[:20]] == [answers[one] for one in ids[:20]]
    report(verdict, f"{won} cancelled, {executions - won} were faster")


def test_a_cancelled_function_lets_go_of_its_child(kiln: Installation) -> None:
    kiln.fleet.worker(concurrency=1)
    kiln.submit([30_000])
    kiln.until("status = 'RUNNING'")
    ((execution_id,),) = kiln.rows("SELECT id FROM executions")
    assert kiln.cancel(execution_id) == 200
    kiln.submit([0])
    assert until(lambda: kiln.count("status = 'COMPLETED'") == 1, seconds=60, what="the next one") < 30
    kiln.verdict().assert_kept()


def test_a_worker_that_does_not_look_goes_on_for_nothing(kiln: Installation) -> None:
    """Must fail: nobody tells the function, and its child is busy to the end."""
    kiln.fleet.worker(concurrency=1, broken="deaf")
    kiln.submit([8_000])
    kiln.until("status = 'RUNNING'")
    ((execution_id,),) = kiln.rows("SELECT id FROM executions")
    assert kiln.cancel(execution_id) == 200
    kiln.submit([0])
    time.sleep(4)
    assert kiln.count("status = 'COMPLETED'") == 0
