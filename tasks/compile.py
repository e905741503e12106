"""`functions.compile`: the compile workers' task."""

from functools import partial
from threading import Thread
from typing import Any
from uuid import UUID

from celery import Celery
from celery.signals import worker_init, worker_ready

from app.broker import Delivery
from app.functions import artifacts, compiling, preparing
from app.platform import Platform
from app.queue import Queue, Task, consumes
from tasks.attempt import attempt
from tasks.revoked import when_revoked
from tasks.warm import announce


def register_compile(celery: Celery, platform: Platform) -> None:
    """Bind the task to a platform; a worker that starts first removes what killed ones left in the jail's scratch."""
    worker_init.connect(_sweep, weak=False)
    worker_ready.connect(lambda sender, **_more: _prepare_languages(platform, sender), weak=False)

    @celery.task(name=str(Task.COMPILE), bind=True)
    def compile_version(self: Any, *, function_id: str, number: int) -> None:
        version = UUID(function_id), number
        delivery = Delivery.of(self.request.properties)
        give_up = partial(compiling.give_up, platform, delivery, *version)
        ids = {"function_id": function_id, "version": number, "correlation_id": self.request.get("correlation")}
        with attempt(platform, delivery, give_up, **ids):
            artifact = compiling.compile_version(platform, delivery, *version)
            if artifact is not None:
                announce(celery, artifact)

    def end(request: Any) -> None:
        function_id, number = UUID(request.kwargs["function_id"]), request.kwargs["number"]
        compiling.stop(platform, Delivery.of(request.properties), function_id, number)

    when_revoked(Task.COMPILE, end)


def _sweep(**_kwargs: object) -> None:
    artifacts.sweep()


def _prepare_languages(platform: Platform, sender: Any) -> None:
    """In a worker of the compile queue, once it is ready: build what compilations share, beside its work."""
    if consumes(sender, Queue.COMPILE):
        Thread(target=preparing.serve, args=(platform, sender.hostname), name="languages", daemon=True).start()
