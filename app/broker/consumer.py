"""Celery's consumer, which keeps what it cannot understand, and hands over what it has before it stops."""

import logging
import math
import time
from collections.abc import Callable
from typing import Any, Final

from celery import bootsteps
from celery.worker import state
from celery.worker.consumer import Consumer
from kombu.common import ignore_errors

log = logging.getLogger(__name__)

#: A child that is free takes what is written to it much sooner.
HAND_OVER_SECONDS: Final = 2.0


class KeepingConsumer(Consumer):  # type: ignore[misc]
    """Celery acknowledges a message whose body it cannot decode, which deletes it, and ends where the body is of
    another shape than it thinks, so that every worker would end of it. Where a header is, it may take a place in its
    pool and never free it. Here all of these are set aside, and the worker goes on.
    """

    def __init__(self, on_task_request: Callable[[Any], object], *args: Any, **kwargs: Any) -> None:
        super().__init__(on_task_request, *args, **kwargs)
        worker = self.controller
        #: The places of the pool, where a request waits for one before it is executed.
        self._places = worker.semaphore if on_task_request == worker._process_task_sem else None  # noqa: SLF001
        self.on_task_request = self._execute_in_turn

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Set the message aside."""
        log.error("message.refused", exc_info=exc)
        if not message.acknowledged:
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

    def _execute_in_turn(self, request: Any) -> None:
        if self._places is None:
            self._execute(request)
        else:
            self._places.acquire(self._execute, request)

    def _execute(self, request: Any) -> None:
        """Give the request to the pool. What fails here would fail after its place was taken, and perhaps outside of
        the message's handling: when another one's place was freed.
        """
        try:
            _check(request)
            self.controller._process_task(request)  # noqa: SLF001 - Celery has no other word for it
        except (*self.connection_errors, *self.channel_errors):
            raise
        except Exception as error:  # noqa: BLE001 - as above
            state.task_ready(request)
            self.on_decode_error(request.message, error)
            if self._places is not None:
                self._places.release()

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


def _check(request: Any) -> None:
    """Refuse what Celery reads only when a child has accepted the request, and whose errors it would swallow then, or
    end of.
    """
    hard, soft = request.time_limits
    if not isinstance(request.name, str) or not all(_is_seconds(limit) for limit in (hard, soft) if limit is not None):
        error = f"a name of {request.name!r}, time limits of {request.time_limits!r}"
        raise TypeError(error)


def _is_seconds(limit: object) -> bool:
    return isinstance(limit, int | float) and math.isfinite(limit)
