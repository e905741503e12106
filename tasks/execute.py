"""`executions.run`: the execute workers' task."""

from functools import cache
from typing import Any
from uuid import UUID

from celery import Celery

from app.broker import Keeper
from app.executions import running, service
from app.functions.artifacts import Modules
from app.platform import Platform
from app.queue import Task
from tasks.attempt import attempt
from tasks.revoked import when_revoked


def register_execute(celery: Celery, platform: Platform) -> None:
    """Bind the task to a platform; each child makes its own module cache when it first needs it, after the fork."""

    keeper = Keeper(platform.settings.database_url, lease_seconds=platform.settings.lease_seconds)

    @cache
    def modules() -> Modules:
        return Modules(platform)

    @celery.task(name=str(Task.EXECUTE), bind=True)
    def run_execution(self: Any, *, execution_id: str) -> None:
        give_up = lambda delivery: running.give_up(platform, delivery, UUID(execution_id))  # noqa: E731 - one expression, used once
        with attempt(platform, self.request, give_up, execution_id=execution_id) as delivery:
            running.execute(platform, modules(), keeper, delivery, UUID(execution_id))

    when_revoked(Task.EXECUTE, lambda request: service.cancel(platform, UUID(request.kwargs["execution_id"])))
