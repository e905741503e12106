"""`executions.run`: the execute workers' task."""

from contextlib import AbstractContextManager
from functools import cache, partial
from typing import Any
from uuid import UUID

from celery import Celery
from celery.signals import worker_process_init

from app.broker import Delivery, Keeper
from app.executions import running, service, warming
from app.executions.queries import Claimed
from app.executions.turns import Turns, nobody_waits
from app.functions.modules import Modules
from app.platform import Platform
from app.queue import Queue, Task
from tasks.attempt import attempt
from tasks.revoked import when_revoked
from tasks.taken import TakenAlong


def register_execute(celery: Celery, platform: Platform) -> None:
    """Bind the task to a platform; each child makes its own module cache after the fork, and begins to fill it."""

    keeper = Keeper(platform.settings.database_url, lease_seconds=platform.settings.lease_seconds)
    taken_along = TakenAlong(celery, platform.settings.database_url)

    @cache
    def modules() -> Modules:
        return Modules(platform)

    def attempted(claimed: Claimed, *, correlation_id: str | None = None) -> AbstractContextManager[None]:
        carried = claimed.delivery.carried or {}
        give_up = partial(running.give_up, platform, claimed.delivery, claimed.execution_id)
        ids = {
            "execution_id": str(claimed.execution_id),
            "correlation_id": carried.get("correlation_id", correlation_id),
        }
        return attempt(platform, claimed.delivery, give_up, **ids)

    @celery.task(name=str(Task.EXECUTE), bind=True)
    def run_execution(self: Any, *, execution_id: str) -> None:
        claimed = Claimed(UUID(execution_id), Delivery.of(self.request.properties))
        if nobody_waits(claimed):
            observe = partial(taken_along.ended, self.request)
            Turns(platform, modules(), keeper, attempted, observe).take(claimed)
        else:
            with attempted(claimed, correlation_id=self.request.get("correlation")):
                running.execute(platform, modules(), keeper, claimed)

    def begin_child(**_more: object) -> None:
        # A child does not know its worker, but what was inherited: the queues that its command line names.
        if Queue.EXECUTE in celery.amqp.queues.consume_from:
            warming.begin_child(platform, modules())

    worker_process_init.connect(begin_child, weak=False)
    when_revoked(Task.EXECUTE, lambda request: service.cancel(platform, UUID(request.kwargs["execution_id"])))
