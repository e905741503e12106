"""R8: no notification ever arrives."""

import time

import pytest

from tests.chaos.conftest import Report
from tests.chaos.installation import Installation
from tests.chaos.scale import Scale

#: Stands before PostgreSQL's own in the search path, so that all of Kiln's statements call it.
_SILENCE = """
CREATE FUNCTION chaos.pg_notify(text, text) RETURNS void LANGUAGE sql AS 'SELECT'
"""

_WAITED_MS = """
SELECT percentile_cont(0.95) WITHIN GROUP (ORDER BY extract(epoch FROM started_at - created_at) * 1000) FROM executions
"""


@pytest.mark.promise("R8", "A lost notification costs time, about a second, and nothing else.")
def test_without_any_notification_everything_is_done_a_little_later(
    kiln: Installation, report: Report, scale: Scale
) -> None:
    executions, pause, at_most_ms = scale(30, 1_000), scale(0.1, 0.1), scale(20_000, 1_500)
    silence(kiln)
    kiln.fleet.workers(2)
    for number in range(executions):
        kiln.submit([number % 20], clients=1)
        time.sleep(pause)
    verdict = kiln.verdict()
    ((waited_ms,),) = kiln.rows(_WAITED_MS)
    assert waited_ms < at_most_ms
    report(verdict, f"95 % were claimed within {waited_ms:.0f} ms")


def test_without_notifications_and_without_the_beat_work_waits_for_ever(kiln: Installation) -> None:
    """Must fail: the beat is what finds it."""
    silence(kiln)
    kiln.fleet.worker(broken="beatless,unwatched")
    time.sleep(1)
    kiln.submit([0])
    assert not kiln.await_rest(seconds=6)
    assert kiln.verdict(seconds=0).lost == 1


def silence(kiln: Installation) -> None:
    """Drop every notification of this database, before anybody connects."""
    kiln.rows(_SILENCE)
    kiln.shadow_functions()
