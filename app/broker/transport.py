"""kombu's transport: one connection per process that publishes, claims and listens."""

import os
import socket
from collections.abc import Iterable
from datetime import timedelta
from itertools import count
from time import monotonic
from typing import Any, Final

import psycopg
from kombu.exceptions import ChannelError
from kombu.transport import virtual

from app.broker import statements
from app.broker.channel import Channel
from app.broker.delivery import Delivery, held
from app.broker.events import EventReader, EventWriter
from app.broker.link import Link
from app.broker.pump import Consuming, Pump

#: How many messages beyond its prefetch limit a consumer takes along that is quick with them.
READ_AHEAD: Final = 32

#: Acknowledgements wait so long for the next claim to take them along.
FLUSH_SECONDS: Final = 0.05

#: Publishers whose transaction began before a consumer fell asleep have committed after this.
SECOND_LOOK_SECONDS: Final = 0.01

_numbers = count(1)


class Transport(virtual.Transport):  # type: ignore[misc]
    """See the package's docstring for features, URL and options."""

    Channel = Channel
    can_parse_url = True
    driver_type = "postgresql"
    driver_name = "psycopg"
    polling_interval = 1.0
    connection_errors = (psycopg.OperationalError, psycopg.InterfaceError)
    recoverable_connection_errors = connection_errors
    channel_errors = (
        ChannelError,
        psycopg.DataError,
        psycopg.IntegrityError,
        psycopg.InternalError,
        psycopg.NotSupportedError,
        psycopg.ProgrammingError,
    )
    recoverable_channel_errors = channel_errors
    implements = virtual.Transport.implements.extend(
        asynchronous=True, exchange_type=frozenset(["direct", "topic", "fanout"]), heartbeats=True
    )

    def __init__(self, client: Any, **kwargs: Any) -> None:
        super().__init__(client, **kwargs)
        options = client.transport_options
        self.consumer_name: str = (
            options.get("consumer_name") or f"{socket.gethostname()}:{os.getpid()}:{next(_numbers)}"
        )
        self._options = options
        self._lease_seconds = float(options.get("lease_seconds", Channel.lease_seconds))
        self._link: Link | None = None
        self._pump: Pump | None = None
        self._pid = os.getpid()
        self._timers: list[Any] = []
        self._flush_due = False
        self._loop: Any = None
        self._alarm = -1
        self._writers: dict[str, EventWriter] = {}
        self._followed: dict[str, tuple[str, EventReader]] = {}
        self.prefetch_count = 0
        """How many messages all channels may hold together; 0 without a limit."""

    def rename(self, name: str) -> None:
        """Let operators read `name` where this connection consumes and holds."""
        self.consumer_name = name
        self.pump.rename(name)

    def driver_version(self) -> str:
        """For kombu's reports."""
        return psycopg.__version__

    @property
    def link(self) -> Link:
        """The connection. A child of a fork gets one of its own and never touches its parent's."""
        if self._pid != os.getpid():
            self._connect()
        if self._link is None:
            raise Link.closed()
        return self._link

    @property
    def pump(self) -> Pump:
        """What feeds this connection's consumers."""
        if self._pump is None:
            raise Link.closed()
        return self._pump

    def establish_connection(self) -> "Transport":
        """Connect; raises psycopg's OperationalError, which the worker answers by trying again."""
        self._connect()
        super().establish_connection()
        return self

    def _connect(self) -> None:
        self._pid = os.getpid()
        self._link = Link(self.client.hostname, name=f"kiln broker {self.consumer_name}")
        self._pump = Pump(
            self._link,
            self.consumer_name,
            loss_limit=int(self._options.get("loss_limit", Channel.loss_limit)),
            on_dead=self._options.get("on_dead", Channel.on_dead),
        )

    def close_connection(self, connection: Any) -> None:
        """Give back what is held, leave the event loop, close. The connection may be broken: what cannot be said is
        found out by its lease.
        """
        self._leave_loop()
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()
        try:
            super().close_connection(connection)
            if self._pump is not None:
                self._pump.depart()
        except self.connection_errors:
            self.channels.clear()
        finally:
            if self._link is not None and self._pid == os.getpid():
                self._link.close()
            self._link = self._pump = None

    def get_heartbeat_interval(self, connection: Any) -> float:
        """What kombu was asked for, in seconds."""
        return float(self.client.heartbeat or 0)

    def heartbeat_check(self, connection: Any, rate: int = 2) -> None:
        """Ask the server for a sign of life unless it gave one lately; raises a connection error where none comes."""
        interval = self.get_heartbeat_interval(connection)
        if interval and monotonic() - self.link.answered_at > interval / rate:
            self.link.execute("SELECT 1")

    # Consuming

    def want(self, *queues: str) -> None:
        """There may be something ready in these queues."""
        if self._pump is not None:
            self._pump.want(*queues)

    def consuming(self, queue: str) -> None:
        """A consumer begins with `queue`."""
        followed = self._followed.get(queue)
        self.pump.consuming(queue, wakes=followed and followed[0])

    def not_consuming(self, queue: str, channel: Consuming | None) -> list[Delivery]:
        """A consumer ends with `queue`; if it was the last of a `channel`, answers what was claimed ahead for that."""
        if self._pump is None:
            return []
        self._pump.not_consuming(queue)
        if queue not in self._pump.queues:
            self._followed.pop(queue, None)
        return self._pump.give_back(channel, queue) if channel is not None else []

    def free_capacity(self) -> int | None:
        """How many more messages all channels may hold together; none without a limit."""
        if not self.prefetch_count:
            return None
        in_hand = sum(int(channel.qos.held()) for channel in self.channels)
        return max(self.prefetch_count - in_hand, 0)

    def acknowledge(self, delivery: Delivery) -> None:
        """Delete a finished message: at once for a caller that waits, with the next claim in an event loop."""
        self.pump.acknowledge(delivery)
        if self._loop is None:
            self.pump.flush()
        elif not self._flush_due:
            self._flush_due = True
            self._loop.call_later(FLUSH_SECONDS, self._flush)

    def keep(self, exchange: str, body: str) -> None:
        """Append to the log that an exchange is; a thread writes it soon."""
        if exchange not in self._writers:
            self._writers[exchange] = EventWriter(self.client.hostname, exchange)
        self._writers[exchange].append(body)

    def follow(self, queue: str, exchange: str, pattern: str) -> None:
        """Let a queue read on in that log from now, what fits the pattern."""
        self._followed[queue] = exchange, EventReader(self.link, pattern)

    def follows(self, queue: str) -> bool:
        """Whether a queue reads in a log."""
        return queue in self._followed

    def unread(self, queue: str) -> list[str]:
        """The next events of a queue that does."""
        events, more = self._followed[queue][1].read(self.link)
        if more:
            self.want(queue)
        return events

    def _flush(self) -> None:
        self._flush_due = False
        if self._pump is not None:
            self._pump.flush()

    def capacity_freed(self) -> None:
        """A consumer may take more; in an event loop it gets it at once."""
        if self._loop is not None:
            self._run()

    def _run(self) -> bool:
        if self._pump is None:
            return False
        done = self._pump.run_out(self.channels)
        if self._pump.look_again:
            self._pump.look_again = False
            self._loop.call_later(SECOND_LOOK_SECONDS, self._look_again)
        return done

    def _look_again(self) -> None:
        if self._pump is not None:
            self._pump.want(*self._pump.queues)
            self._run()

    # In an event loop

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        """Let the hub wake us by the socket, and by timers for the beat and for leases."""
        self._loop = loop
        self.pump.most_ahead = int(self._options.get("read_ahead", READ_AHEAD))
        loop.add_reader(self.link.fileno(), self._run)
        # Before the hub sleeps: other callbacks may have sent statements, whose answers brought notifications along.
        loop.on_tick.add(self._on_tick)
        self._alarm = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        loop.add_reader(self._alarm, os.eventfd_read, self._alarm)
        self._timers = [
            loop.call_repeatedly(self.polling_interval, self._on_beat),
            loop.call_repeatedly(self._lease_seconds / 3, self._on_lease),
        ]

    def _leave_loop(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        if self._loop is not None:
            self._loop.on_tick.discard(self._on_tick)
            self._loop.remove(self._alarm)
            os.close(self._alarm)
            if self._link is not None:
                self._loop.remove(self._link.fileno())
            self._loop = None

    def _on_beat(self) -> None:
        self._beat()
        self._run()

    def _beat(self) -> None:
        self.pump.beat()
        self.pump.want(*self._followed)

    def _on_tick(self) -> None:
        """What is done here the hub sees only after its sleep, whose length it has chosen already: so it is woken."""
        if self._run():
            os.eventfd_write(self._alarm, 1)

    def _on_lease(self) -> None:
        self.renew(self.pump.read_ahead())
        for channel in self.channels:
            channel.renew()

    def renew(self, deliveries: Iterable[Delivery]) -> None:
        """Renew these leases."""
        leased = held(list(deliveries))
        if leased["ids"]:
            self.link.execute(statements.RENEW, leased | {"lease": timedelta(seconds=self._lease_seconds)})

    # Without one

    def drain_events(self, connection: Any, timeout: float | None = None) -> None:
        """Deliver what there is, else wait for it; raises `socket.timeout` after `timeout` seconds without anything."""
        deadline = None if timeout is None else monotonic() + timeout
        beat_at = 0.0
        while True:
            self.pump.hear()
            if monotonic() >= beat_at:
                self._beat()
                beat_at = monotonic() + self.polling_interval
            if self.pump.run(self.channels):
                return
            left = self.polling_interval if deadline is None else min(self.polling_interval, deadline - monotonic())
            if left <= 0:
                raise TimeoutError
            self.link.wait(left)
