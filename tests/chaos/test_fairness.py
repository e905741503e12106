"""R18: one user has queued more than workers can do in a long time, and others come with little."""

import time

import pytest

from tests.chaos.clients import Clients
from tests.chaos.conftest import Report
from tests.chaos.installation import Installation
from tests.chaos.scale import Scale

#: How many executions of others were begun after one was accepted, and before it was begun.
_BEFORE = """
SELECT count(*) FILTER (WHERE other.caller_id <> one.caller_id) FROM executions AS one
JOIN executions AS other ON other.started_at > one.created_at AND other.started_at < one.started_at
WHERE one.caller_id = %s GROUP BY one.id
"""

#: How many of each user's had ended when half of all had.
_SHARES = """
SELECT count(*) FILTER (WHERE completed_at <= half) FROM executions, (
    SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY completed_at) FROM executions
) AS middle (half)
GROUP BY caller_id
"""


def somebody(kiln: Installation) -> tuple[str, Clients]:
    """Another user's id, and clients of theirs."""
    user_id, key = kiln.another_user()
    return user_id, Clients(kiln.clients.address, key, kiln.ledger)


@pytest.mark.promise("R18", "Whoever has queued much keeps nobody else waiting: users take turns.")
def test_one_who_has_queued_much_keeps_nobody_waiting(kiln: Installation, report: Report, scale: Scale) -> None:
    many, few = scale(300, 5_000), scale(12, 60)
    children = 4
    kiln.submit([50] * many)
    user_id, others = somebody(kiln)
    kiln.fleet.workers(2)
    for _ in range(few):
        others.submit(kiln.functions["nap"], [0])
        time.sleep(scale(0.2, 1.0))
    verdict = kiln.verdict(seconds=scale(120, 600))
    waited = [count for (count,) in kiln.rows(_BEFORE, user_id)]
    # Each is next: it waits for those in the children's hands, and for those claimed at the same moment.
    assert max(waited, default=0) <= 2 * children
    report(verdict, f"{few} others came meanwhile, before each of which at most {max(waited, default=0)} were begun")


def test_twenty_users_get_the_same(kiln: Installation, scale: Scale) -> None:
    each = scale(20, 200)
    everybody = [others for _, others in (somebody(kiln) for _ in range(20))]
    # One after the other, each with all of theirs, before anybody works
    for others in everybody:
        others.submit(kiln.functions["nap"], [5] * each, clients=2)
    kiln.fleet.workers(2)
    kiln.verdict(seconds=scale(120, 600)).assert_kept()
    shares = [share for (share,) in kiln.rows(_SHARES)]
    assert len(shares) == 20
    assert sum(shares) ** 2 / (len(shares) * sum(share**2 for share in shares)) >= 0.95


def test_without_lanes_whoever_comes_late_waits_for_all(kiln: Installation) -> None:
    """Must fail: first in, first out."""
    kiln.submit([20] * 100)
    user_id, others = somebody(kiln)
    others.submit(kiln.functions["nap"], [0])
    kiln.rows("UPDATE broker.messages SET rank = id")
    kiln.fleet.workers(1)
    kiln.verdict(seconds=90).assert_kept()
    ((waited,),) = kiln.rows(_BEFORE, user_id)
    assert waited > 90
