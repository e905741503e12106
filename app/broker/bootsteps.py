"""What a Celery worker does beside its own steps when this transport feeds it."""

import time
from typing import Any, Final

from celery import Celery, bootsteps
from celery.worker.consumer import Gossip, Mingle
from kombu.common import ignore_errors

from app.broker.transport import Transport

#: How long an event of a task waits for others.
EVENTS_WAIT_SECONDS: Final = 0.1

#: A child that is free takes what is written to it much sooner.
HAND_OVER_SECONDS: Final = 2.0


def add_bootsteps(app: Celery) -> None:
    """Give the workers of `app` these steps, and those of Celery's own that it knows only of its first transports to
    work.
    """
    app.steps["consumer"].update([Name, EventBatches, HandOver])
    for step in (Gossip, Mingle):
        step.compatible_transports = step.compatible_transports | {Transport.driver_type}


class Name(bootsteps.StartStopStep):  # type: ignore[misc]
    """A worker's leases are held in the name of its node."""

    requires = ("celery.worker.consumer:Connection",)

    def start(self, consumer: Any) -> None:
        """Name the connection that consumes."""
        consumer.connection.transport.rename(consumer.hostname)

    def info(self, consumer: Any) -> dict[str, Any]:
        """What `inspect stats` tells of the broker. It replaces Celery's own word, which for a transport that reads its
        URL itself is the whole URL with its password, and all of our options with their SQL.
        """
        connection = consumer.connection
        if connection is None:
            return {}
        told = connection.info()
        shown = {name: told[name] for name in ("transport", "connect_timeout", "heartbeat")}
        return {"broker": {"hostname": connection.as_uri(), **shown}}


class EventBatches(bootsteps.StartStopStep):  # type: ignore[misc]
    """Events of tasks wait a moment for others, instead of being sent before the task reaches its child."""

    requires = ("celery.worker.consumer:Events",)

    def start(self, consumer: Any) -> None:
        """Let the dispatcher send what it has gathered later, and all at once."""
        dispatcher, hub, asked = consumer.event_dispatcher, consumer.hub, False

        def send() -> None:
            nonlocal asked
            asked = False
            ignore_errors(consumer, dispatcher.flush)

        def send_later() -> None:
            nonlocal asked
            if not asked:
                asked = True
                hub.call_later(EVENTS_WAIT_SECONDS, send)

        if hub is not None and dispatcher is not None:
            dispatcher.on_send_buffered = send_later

    def stop(self, consumer: Any) -> None:
        """Send what is left."""
        if consumer.event_dispatcher is not None:
            ignore_errors(consumer, consumer.event_dispatcher.flush)


class HandOver(bootsteps.StartStopStep):  # type: ignore[misc]
    """When a worker is told to stop: nothing new is claimed, and what was claimed reaches a child or goes back.

    Celery's prefork pool writes to its children from the event loop, which has ended by then: a message claimed in the
    last moment stays in its buffer, and the worker waits for its result for ever.
    """

    requires = ("celery.worker.consumer:Tasks",)

    def stop(self, consumer: Any) -> None:
        """Run the loop until every job has been accepted; give the others up, so that their messages are released."""
        pool: Any = getattr(consumer.pool, "_pool", None)
        if consumer.blueprint.state == bootsteps.RUN or not hasattr(pool, "outbound_buffer"):
            return  # Only the connection is made anew, or another kind of pool has no such buffer.
        if consumer.task_consumer is not None:
            ignore_errors(consumer, consumer.task_consumer.cancel)
        loop, deadline = consumer.hub.create_loop(), time.monotonic() + HAND_OVER_SECONDS
        while _unaccepted(pool) and time.monotonic() < deadline:
            try:
                next(loop)
            except StopIteration:
                loop = consumer.hub.create_loop()
        if _unaccepted(pool):
            pool.flush()


def _unaccepted(pool: Any) -> bool:
    return any(not job._accepted for job in tuple(pool._cache.values()))  # noqa: SLF001 - billiard has no other word for it
