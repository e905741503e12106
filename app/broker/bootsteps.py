"""What a Celery worker does beside its own steps when this transport feeds it."""

from collections.abc import Sequence
from typing import Any, Final

from celery import Celery, bootsteps
from celery.app.amqp import AMQP
from celery.signals import worker_process_init
from celery.worker import state
from celery.worker.consumer import Gossip, Mingle
from kombu.common import ignore_errors

from app.broker import draining
from app.broker.consumer import KeepingConsumer
from app.broker.link import Link
from app.broker.reconnecting import PromptConnection
from app.broker.transport import Transport
from app.broker.watchdog import Watchdog

#: How long an event of a task waits for others.
EVENTS_WAIT_SECONDS: Final = 0.1


def add_bootsteps(app: Celery) -> None:
    """Give the workers of `app` these steps, and those of Celery's own that it knows only of its first transports to
    work.
    """
    app.steps["consumer"].update([Name, EventBatches, Drain, Watch])
    worker_process_init.connect(_obey_parent_only, weak=False)
    app.amqp_cls = Amqp
    app.conf.worker_consumer = KeepingConsumer
    for step in (Gossip, Mingle):
        step.compatible_transports = step.compatible_transports | {Transport.driver_type}


class Amqp(AMQP):  # type: ignore[misc]
    """Celery's knowledge of its broker, with connections that come back promptly."""

    Connection = PromptConnection


class Name(bootsteps.StartStopStep):  # type: ignore[misc]
    """A worker holds its leases in one name over all its connections, and operators see that of its node, which another
    worker may have too.
    """

    requires = ("celery.worker.consumer:Connection",)

    def __init__(self, consumer: Any, **kwargs: Any) -> None:
        super().__init__(consumer, **kwargs)
        self._holder: str | None = None

    def start(self, consumer: Any) -> None:
        """Name the connection that consumes."""
        transport = consumer.connection.transport
        self._holder = self._holder or transport.holder
        transport.rename(self._holder, consumer.hostname)

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


class Watch(bootsteps.StartStopStep):  # type: ignore[misc]
    """A worker that no longer gets what waits for it ends, so that its supervisor starts it anew."""

    requires = ("celery.worker.consumer:Tasks",)

    def __init__(self, consumer: Any, **kwargs: Any) -> None:
        super().__init__(consumer, **kwargs)
        self._watchdog: Watchdog | None = None

    def start(self, consumer: Any) -> None:
        """Watch from the first connection on, over all that follow."""
        if self._watchdog is None:
            self._watchdog = Watchdog(consumer.connection.hostname, WatchedConsumer(consumer))
            self._watchdog.start()

    def stop(self, consumer: Any) -> None:
        """A worker that is told to stop claims nothing any more."""
        if self._watchdog is not None and consumer.blueprint.state != bootsteps.RUN:
            self._watchdog.stop()


class WatchedConsumer:
    """A worker as the watchdog sees it: by Celery's own accounts, not by those of our transport."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self._received = 0
        consumer.on_task_message.add(self._on_message)

    def _on_message(self, _request: Any) -> None:
        self._received += 1

    def received(self) -> int:
        """How many tasks it has got since it started."""
        return self._received

    def wanting(self) -> Sequence[str]:
        """The queues that it was told to consume, unless its children have enough to do. What waits for a rate limit
        occupies a place.
        """
        buckets = [bucket for bucket in tuple(self._consumer.task_buckets.values()) if bucket]
        held = len(state.reserved_requests) + sum(len(bucket.contents) for bucket in buckets)
        if self._consumer.blueprint.state != bootsteps.RUN or held >= self._consumer.pool.num_processes:
            return []
        return list(self._consumer.app.amqp.queues.consume_from)

    def answered_at(self) -> float | None:
        """When the connection that consumes was last answered. While the worker stops, it need not be used."""
        link = self._link()
        return link.answered_at if link is not None and self._consumer.blueprint.state == bootsteps.RUN else None

    def cut(self) -> None:
        """End the connection that consumes."""
        link = self._link()
        if link is not None:
            link.cut()

    def _link(self) -> Link | None:
        connection = self._consumer.connection
        return connection.transport.connected if connection is not None and connection.connected else None


class Drain(bootsteps.StartStopStep):  # type: ignore[misc]
    """A worker that was told to stop ends in time, and nothing that it held waits for a lease to run out."""

    requires = ("celery.worker.consumer:Connection",)

    def start(self, consumer: Any) -> None:
        """The connection is asked what it is while there is one."""
        self._url, self._transport = consumer.connection.hostname, consumer.connection.transport

    def stop(self, consumer: Any) -> None:
        """Let the children work on, but not for ever."""
        if consumer.blueprint.state == bootsteps.RUN:
            return
        processes = getattr(getattr(consumer.pool, "_pool", None), "_pool", [])
        children = [process.pid for process in processes]
        queues = consumer.app.amqp.queues.consume_from
        draining.end_in_time(
            self._url,
            self._transport.holder,
            children,
            grace_seconds=draining.grace_seconds(self._transport.drain_seconds, queues),
            on_released=self._transport.on_released,
        )


def _obey_parent_only(**_kwargs: object) -> None:
    draining.obey_parent_only()
