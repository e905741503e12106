"""kombu's transport: one connection per process that listens, claims, renews and looks again."""

import os
import socket
from time import monotonic
from typing import Any

import psycopg
from kombu.transport import virtual

from app.broker import channel as channel_module
from app.broker import statements
from app.broker.link import Link, channel_of


class Transport(virtual.Transport):  # type: ignore[misc]
    """See the package's docstring for features, URL and options.

    A queue is *wanted* while there may be something ready in it: it was notified, a look found something, or the last
    claim was full.
    Only wanted queues are claimed from, and only while the consumer has capacity.
    """

    Channel = channel_module.Channel
    can_parse_url = True
    driver_type = "postgresql"
    driver_name = "psycopg"
    polling_interval = 1.0
    connection_errors = (psycopg.OperationalError, psycopg.InterfaceError)
    channel_errors = (psycopg.DatabaseError,)
    implements = virtual.Transport.implements.extend(
        asynchronous=True, exchange_type=frozenset(["direct", "topic", "fanout"]), heartbeats=False
    )

    def __init__(self, client: Any, **kwargs: Any) -> None:
        super().__init__(client, **kwargs)
        options = client.transport_options
        self.consumer_name: str = options.get("consumer_name") or f"{socket.gethostname()}:{os.getpid()}"
        self.wanted: set[str] = set()
        self._lease_seconds = float(options.get("lease_seconds", channel_module.Channel.lease_seconds))
        self._link: Link | None = None
        self._queues_by_channel: dict[str, str] = {}
        self._timers: list[Any] = []
        self._loop: Any = None
        self._pumping = False

    def driver_version(self) -> str:
        """For kombu's reports."""
        return psycopg.__version__

    @property
    def link(self) -> Link:
        """The connection. A child of a fork gets one of its own and never touches its parent's."""
        if self._link is None:
            msg = "the transport is closed"
            raise psycopg.InterfaceError(msg)
        return self._link

    def establish_connection(self) -> "Transport":
        """Connect; raises psycopg's OperationalError, which the worker answers by trying again."""
        self._link = Link(self.client.hostname, name=f"kiln broker {self.consumer_name}")
        super().establish_connection()
        return self

    def close_connection(self, connection: Any) -> None:
        """Give back what is held, leave the event loop, close. The connection may be broken: what cannot be said is
        found out by its lease.
        """
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self._leave_loop()
        try:
            super().close_connection(connection)
            if self._link is not None and self._queues_by_channel:
                self._link.execute(statements.DEPART, {"name": self.consumer_name})
        except self.connection_errors:
            self.channels.clear()
        finally:
            if self._link is not None:
                self._link.close()
                self._link = None

    # Consuming

    def consuming(self, queue: str) -> None:
        """A channel begins to consume `queue`: listen first, then look, so that nothing falls between."""
        channel = channel_of(queue)
        self._queues_by_channel[channel] = queue
        self.link.listen(channel)
        self.wanted.add(queue)
        if self._loop is not None:
            self._announce()

    def not_consuming(self, queue: str) -> None:
        """The last consumer of `queue` in this process has gone."""
        self._queues_by_channel.pop(channel_of(queue), None)
        self.wanted.discard(queue)
        if self._link is not None:
            self._link.unlisten(channel_of(queue))

    def capacity_freed(self) -> None:
        """A consumer may take more; in an event loop the next turn claims it."""
        if self._loop is None or self._pumping:
            return
        self._pump()

    def _pump(self) -> int:
        """Claim from every wanted queue up to each consumer's capacity and deliver; answers how many were delivered."""
        if self._pumping:
            return 0
        self._pumping, delivered = True, 0
        try:
            for channel in list(self.channels):
                for queue in channel.active_queues:
                    if queue in self.wanted:
                        delivered += self._claim_and_deliver(channel, queue)
        finally:
            self._pumping = False
        return delivered

    def _claim_and_deliver(self, channel: channel_module.Channel, queue: str) -> int:
        limit = channel.free_capacity()
        if limit == 0:
            return 0
        # Not wanted from here on unless notified again: clearing it after the claim would lose a notification that
        # arrives meanwhile.
        self.wanted.discard(queue)
        messages = channel.claim(queue, limit)
        if len(messages) == limit:
            self.wanted.add(queue)
        for message in messages:
            self._deliver(message, queue)
        return len(messages)

    def _hear(self) -> None:
        self.wanted.update(queue for channel in self.link.heard() if (queue := self._queues_by_channel.get(channel)))

    def _look(self) -> None:
        """Poll: make due messages ready and want the queues that have some."""
        queues = list(self._queues_by_channel.values())
        if queues:
            self.wanted.update(name for (name,) in self.link.execute(statements.LOOK, {"queues": queues}))

    # In an event loop

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        """Let the hub wake us by the socket, and by timers for polling and for leases."""
        self._loop = loop
        loop.add_reader(self.link.fileno(), self._on_readable)
        loop.on_tick.add(self._on_tick)
        self._timers = [
            loop.call_repeatedly(self.polling_interval, self._on_poll),
            loop.call_repeatedly(self._lease_seconds / 3, self._on_heartbeat),
        ]

    def _leave_loop(self) -> None:
        if self._loop is not None:
            self._loop.on_tick.discard(self._on_tick)
            if self._link is not None:
                self._loop.remove(self._link.fileno())
            self._loop = None

    def _on_readable(self) -> None:
        self._hear()
        self._pump()

    def _on_poll(self) -> None:
        self._hear()
        self._look()
        self._pump()

    def _on_tick(self) -> None:
        """Before the hub sleeps: claim while something is wanted and a consumer has room (the solo pool finishes inside
        the delivery).
        """
        if self._link is None:
            return
        self._hear()
        while self.wanted and self._pump():
            pass

    def _on_heartbeat(self) -> None:
        for channel in self.channels:
            channel.renew()
        self._announce()

    def _announce(self) -> None:
        parameters = {"name": self.consumer_name, "queues": list(self._queues_by_channel.values())}
        self.link.execute(statements.ANNOUNCE, parameters)

    # Without one

    def drain_events(self, connection: Any, timeout: float | None = None) -> None:
        """Deliver what there is, else wait for it; raises `socket.timeout` after `timeout` seconds without anything."""
        deadline = None if timeout is None else monotonic() + timeout
        look_at = 0.0
        while True:
            self._hear()
            if monotonic() >= look_at:
                self._look()
                look_at = monotonic() + self.polling_interval
            if self._pump():
                return
            left = self.polling_interval if deadline is None else min(self.polling_interval, deadline - monotonic())
            if left <= 0:
                raise TimeoutError
            self.link.wait(left)
