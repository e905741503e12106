"""How a worker's child does what nobody waits for: in turns, so that a group of executions costs one round trip and one
commit.

A turn begins with the execution of a Celery message. The statement that writes its end takes the next few along, and
the statement that writes theirs takes the next, until the turn is over, nothing is left, or something more urgent is
ready. The child holds no result longer than its group lasts, and has none left when its task returns.

A group is bounded twice: by its size, which follows from the pace of the one before, and by time. What has not ended by
then is stopped, and given back with what has not begun, to be run by itself; so are modules that would have to be
loaded first. What was delivered before is never taken along: one that takes its worker down does so alone from its
second time on.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import orjson
from sqlalchemy.exc import SQLAlchemyError

from app.broker import Keeper
from app.executions import queries, running
from app.executions.domain import ErrorType, Finish
from app.executions.queries import Claimed
from app.functions.modules import Modules
from app.platform import Platform
from app.queue import Queue

#: After this a child is given back to its worker, so that Celery's control of it works as ever.
TURN_SECONDS: Final = 0.05

#: How long a group is meant to take.
GROUP_SECONDS: Final = 0.005

#: How long it may take. Whoever begins to wait for an execution meanwhile waits for this at most.
MOST_GROUP_SECONDS: Final = 0.02

MOST_TAKEN: Final = 32

Ended = tuple[Claimed, Finish | None]


def nobody_waits(claimed: Claimed) -> bool:
    """Whether an execution may begin a turn."""
    return claimed.delivery.carried is not None and not claimed.delivery.carried["awaited"]


@dataclass(frozen=True)
class Turns:
    """What a child needs for its turns. `attempted` gives the context of an attempt, in which a failure of the platform
    ends; `observe` is called for each execution that was taken along and has ended.
    """

    platform: Platform
    modules: Modules
    keeper: Keeper
    attempted: Callable[[Claimed], AbstractContextManager[object]]
    observe: Callable[[Claimed, Finish], None]

    def take(self, first: Claimed) -> None:
        """Run the execution that a message brought, and others after it."""
        began = time.monotonic()
        over_at = began + TURN_SECONDS
        group, ended, left = [first], self._run_first(first), list[Claimed]()
        while ended:
            now = time.monotonic()
            most = 0 if left or now > over_at else int(GROUP_SECONDS * len(ended) / (now - began))
            most = min(most, MOST_TAKEN)
            group = self._settle(ended, most=most, after=group[-1], first=first)
            began = time.monotonic()
            ended, left = self._run(group, until=began + MOST_GROUP_SECONDS)
            if left:
                self._give_back(left)

    def _run_first(self, first: Claimed) -> list[Ended]:
        ended: list[Ended] = []
        with self.attempted(first):
            end = running.run_once(self.platform, self.modules, self.keeper, first)
            if end is not None and not running.try_again(self.platform, first, end):
                ended.append((first, end))
        return ended

    def _run(self, group: Sequence[Claimed], *, until: float) -> tuple[list[Ended], list[Claimed]]:
        """Run those that were taken along; answers what has ended, and what is to be given back."""
        ended: list[Ended] = []
        left: list[Claimed] = []
        for claimed in group:
            patience = until - time.monotonic()
            if claimed.delivery.carried is None:
                ended.append((claimed, None))
            elif patience <= 0 or not self.modules.holds(claimed.delivery.carried["artifact"]):
                left.append(claimed)
            else:
                with self.attempted(claimed):
                    end = running.run_once(
                        self.platform, self.modules, self.keeper, claimed, patience_ms=patience * 1000
                    )
                    if end is not None and _was_stopped(claimed, end):
                        left.append(claimed)
                    elif end is not None and not running.try_again(self.platform, claimed, end):
                        ended.append((claimed, end))
        return ended, left

    def _settle(self, ended: Sequence[Ended], *, most: int, after: Claimed, first: Claimed) -> list[Claimed]:
        """Write the ends, and take at most so many along, as urgent as `first` and in its name; answers those."""
        priority, rank = first.delivery.carried["priority"], (after.delivery.carried or {}).get("rank", 0)
        urgent = self.platform.urgent
        take = {
            "queue": Queue.EXECUTE,
            "priority": priority,
            "holder": first.delivery.holder,
            "lease": timedelta(seconds=self.platform.settings.lease_seconds),
            "most": most,
            "after": rank,
            "urgent_after": urgent.at(Queue.EXECUTE, priority),
        }
        try:
            with self.platform.database.statement() as connection:
                held, were_running, taken = queries.finish_group(connection, ended, take)
        except (SQLAlchemyError, orjson.JSONEncodeError):
            self._settle_singly(ended)
            return []
        if taken:
            urgent.seen(Queue.EXECUTE, priority, rank)
        running.admit_others(self.platform, [claimed for claimed, _ in ended])
        for claimed, end in ended:
            if end is not None:
                number = claimed.delivery.message_id
                with self.attempted(claimed):
                    running.tell(claimed, end, held=number in held, was_running=number in were_running)
                if number in were_running:
                    self.observe(claimed, end)
        return taken

    def _settle_singly(self, ended: Sequence[Ended]) -> None:
        """What spoils one end shall not spoil the others."""
        for claimed, end in ended:
            if end is not None:
                with self.attempted(claimed):
                    running.finish(self.platform, claimed, end)

    def _give_back(self, left: Sequence[Claimed]) -> None:
        with self.platform.database.statement() as connection:
            queries.give_back(connection, left)


def _was_stopped(claimed: Claimed, end: Finish) -> bool:
    """Whether it was stopped before its own limit, for the sake of the others."""
    return end.error_type is ErrorType.TIMEOUT and (end.duration_ms or 0) < claimed.delivery.carried["timeout_ms"]
