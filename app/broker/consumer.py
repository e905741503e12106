"""Celery's consumer, which keeps what it cannot understand, and hands over what it has before it stops."""

import logging
import time
from collections.abc import Callable
from typing import Any, Final

from celery import bootsteps
from celery.worker.consumer import Consumer
from kombu.common import ignore_errors

log = logging.getLogger(__name__)

#: A child that is free takes what is written to it much sooner.
HAND_OVER_SECONDS: Final = 2.0


class KeepingConsumer(Consumer):  # type: ignore[misc]
    """Celery acknowledges a message whose body it cannot decode, which deletes it, and ends where the body is of
    another shape than it thinks, so that every worker would end of it. Here both are set aside, and the worker goes on.
    """

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Set the message aside."""
        log.error("message.refused", exc_info=exc)
        message.reject_log_error(log, self.connection_errors)

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], None]:
        """What is done with each message."""
        handle = super().create_task_handler(*args, **kwargs)

        def handle_or_set_aside(message: Any) -> None:
            try:
                handle(message)
            except (*self.connection_errors, *self.channel_errors):
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, it is the message's fault
                self.on_decode_error(message, error)

        return handle_or_set_aside

    def on_close(self) -> None:
        """The worker stops, or its connection was lost. Celery forgets then what no child has accepted yet: nobody
        would read the result, and the child would wait for that for half a minute.
        """
        if self.controller.blueprint.state != bootsteps.RUN and hasattr(_pool_of(self), "outbound_buffer"):
            _hand_over(self)
        super().on_close()


def _hand_over(consumer: Consumer) -> None:
    """Claim nothing new, and run the event loop, which writes to the children, until they have accepted every job."""
    if consumer.task_consumer is not None:
        ignore_errors(consumer, consumer.task_consumer.cancel)
    loop, deadline = consumer.hub.create_loop(), time.monotonic() + HAND_OVER_SECONDS
    while _unaccepted(_pool_of(consumer)) and time.monotonic() < deadline:
        try:
            next(loop)
        except StopIteration:
            loop = consumer.hub.create_loop()


def _pool_of(consumer: Consumer) -> Any:
    return getattr(consumer.pool, "_pool", None)


def _unaccepted(pool: Any) -> bool:
    return any(not job._accepted for job in tuple(pool._cache.values()))  # noqa: SLF001 - billiard has no other word for it
