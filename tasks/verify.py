"""`functions.verify`: what compile workers do beside compiling."""

from functools import partial
from typing import Any
from uuid import UUID

from celery import Celery

from app.broker import Delivery
from app.functions import verifying
from app.platform import Platform
from app.queue import Task
from tasks.attempt import attempt
from tasks.revoked import when_revoked


def register_verify(celery: Celery, platform: Platform) -> None:
    """Bind the task to a platform."""

    @celery.task(name=str(Task.VERIFY), bind=True)
    def verify_version(self: Any, *, function_id: str, number: int, verification_id: str) -> None:
        wanted = UUID(function_id), number, UUID(verification_id)
        delivery = Delivery.of(self.request.properties)
        give_up = partial(verifying.give_up, platform, delivery, *wanted)
        ids = {"function_id": function_id, "version": number, "correlation_id": self.request.get("correlation")}
        with attempt(platform, delivery, give_up, **ids):
            verifying.verify_version(platform, delivery, *wanted)

    def end(request: Any) -> None:
        asked = request.kwargs
        wanted = UUID(asked["function_id"]), asked["number"], UUID(asked["verification_id"])
        verifying.stop(platform, Delivery.of(request.properties), *wanted)

    when_revoked(Task.VERIFY, end)
