"""Celery's consumer, which keeps what it cannot understand."""

import logging
from collections.abc import Callable
from typing import Any

from celery.worker.consumer import Consumer

log = logging.getLogger(__name__)


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
