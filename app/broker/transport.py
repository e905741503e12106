"""kombu's transport: one connection per process that publishes, claims and listens."""

import os
import secrets
import socket
import threading
from collections.abc import Mapping, Sequence
from datetime import timedelta
from time import monotonic
from typing import Any, Final
from weakref import WeakSet

import psycopg
from kombu.exceptions import ChannelError
from kombu.transport import virtual

from app.broker import statements
from app.broker.address import address_of
from app.broker.channel import Channel
from app.broker.delivery import Delivery, held
from app.broker.events import Event, EventReader, EventWriter
from app.broker.link import Link
from app.broker.pump import LIFE_SECONDS, Consuming, Pump
from app.broker.renewing import Renewer
from app.broker.unsaid import Unsaid, forget_everything, unsaid_at
from app.broker.urls import without_password

#: How many messages beyond its prefetch limit a consumer takes along that is quick with them.
READ_AHEAD: Final = 32

#: Acknowledgements wait so long for the next claim to take them along.
FLUSH_SECONDS: Final = 0.05

#: Publishers whose transaction began before a consumer fell asleep have committed after this.
SECOND_LOOK_SECONDS: Final = 0.01

#: All of this process.
transports: "WeakSet[Transport]" = WeakSet()

#: A child of a fork keeps its parent's connections without using them: to end one would end the parent's.
_of_parents: list[Link] = []


def _after_fork() -> None:
    for transport in list(transports):
        transport.disown()
    forget_everything()


os.register_at_fork(after_in_child=_after_fork)


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
    # What the database refuses once it refuses again: kombu would ask on and on, without a pause.
    recoverable_channel_errors = ()
    implements = virtual.Transport.implements.extend(
        asynchronous=True, exchange_type=frozenset(["direct", "topic", "fanout"]), heartbeats=True
    )

    def __init__(self, client: Any, **kwargs: Any) -> None:
        super().__init__(client, **kwargs)
        options = client.transport_options
        self.holder = _new_holder()
        self._node: str | None = options.get("consumer_name")
        self._options = options
        self._lease_seconds = float(options.get("lease_seconds", Channel.lease_seconds))
        self._link: Link | None = None
        self._pump: Pump | None = None
        self._renewers: dict[str, Renewer] = {}
        self._connecting = threading.Lock()
        self._disowned = False
        self._beat_at = 0.0
        self._resting = False
        self._timers: list[Any] = []
        self._flush_due = False
        self._loop: Any = None
        self._watched: list[int] = []
        self._writers: dict[str, EventWriter] = {}
        self._followed: dict[str, tuple[str, EventReader]] = {}
        self.prefetch_count = 0
        """How many messages all channels may hold together; 0 without a limit."""
        transports.add(self)

    def rename(self, holder: str, node: str) -> None:
        """Consume and hold in the name of `holder`, whom operators call `node`."""
        self.holder, self._node = holder, node
        self.pump.rename(holder, node)

    @property
    def drain_seconds(self) -> Mapping[str, float]:
        """How long a worker of a queue works on that was told to stop."""
        seconds: Mapping[str, float] = self._options.get("drain_seconds", {})
        return seconds

    @property
    def on_released(self) -> Sequence[str]:
        """What else is done when it gives back what it could not end."""
        statements: Sequence[str] = self._options.get("on_released", ())
        return statements

    def driver_version(self) -> str:
        """For kombu's reports."""
        return psycopg.__version__

    def as_uri(self, uri: str, include_password: bool = False, mask: str = "**") -> str:
        """How logs and tools name the database."""
        return uri if include_password else without_password(uri, mask=mask)

    @property
    def link(self) -> Link:
        """The connection. A child of a fork gets one of its own when it needs it."""
        if self._link is None and self._disowned:
            self._connect()
        if self._link is None:
            raise Link.closed()
        return self._link

    @property
    def unsaid(self) -> Unsaid:
        """What this process has to say to the database, over this connection or another."""
        return unsaid_at(address_of(self.client))

    @property
    def connected(self) -> Link | None:
        """The connection, where there is one."""
        return self._link

    @property
    def pump(self) -> Pump:
        """What feeds this connection's consumers."""
        if self._pump is None and self._disowned:
            self._connect()
        if self._pump is None:
            raise Link.closed()
        return self._pump

    def disown(self) -> None:
        """In a child of a fork: the connection, what came through it and the event loop are its parent's."""
        self._connecting = threading.Lock()
        if self._link is None:
            return
        _of_parents.append(self._link)
        self._link, self._pump, self._renewers, self._loop = None, None, {}, None
        self._timers, self._watched, self._writers, self._followed = [], [], {}, {}
        self._disowned = True
        self.holder = _new_holder()
        for channel in self.channels:
            channel.forget()

    def establish_connection(self) -> "Transport":
        """Connect; raises psycopg's OperationalError, which the worker answers by trying again."""
        self._connect()
        super().establish_connection()
        return self

    def verify_connection(self, connection: Any) -> bool:
        """Whether the connection is open as far as is known without asking the server."""
        return self._link is not None and self._link.usable

    def _connect(self) -> None:
        """Connect, unless another thread just did."""
        with self._connecting:
            if not self.verify_connection(self):
                if not self._disowned:
                    self._abandon()
                self._open()

    def _open(self) -> None:
        self._link = Link(address_of(self.client), name=f"kiln broker {self.holder}")
        self._pump = Pump(
            self._link,
            self.holder,
            node=self._node,
            unsaid=self.unsaid,
            on_told=self._told,
            loss_limit=int(self._options.get("loss_limit", Channel.loss_limit)),
            on_dead=self._options.get("on_dead", Channel.on_dead),
            on_expired=self._options.get("on_expired", ()),
        )
        self._renewers = {
            "leases": Renewer(self._link, self.renew, every_seconds=self._lease_seconds / 3),
            "presence": Renewer(self._link, self._pump.live_on, every_seconds=LIFE_SECONDS),
        }
        self._disowned, self._beat_at = False, 0.0

    def _abandon(self) -> None:
        """Channels of a lost connection are of no use: who consumed or held through them must begin anew."""
        for channel in self.channels:
            channel.connection = None
        self.channels.clear()
        self._avail_channels.clear()
        for renewer in self._renewers.values():
            renewer.stop()
        if self._pump is not None:
            self._pump.lose()
        if self._link is not None:
            self._link.close()

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
            pass
        finally:
            self._abandon()
            self._link = self._pump = None
            self._renewers = {}

    def get_heartbeat_interval(self, connection: Any) -> float:
        """What kombu was asked for, in seconds."""
        return float(self.client.heartbeat or 0)

    def heartbeat_check(self, connection: Any, rate: int = 2) -> None:
        """Ask the server for a sign of life unless it gave one lately; raises a connection error where none comes."""
        interval = self.get_heartbeat_interval(connection)
        if interval and monotonic() - self.link.answered_at > interval / rate:
            self.link.ping(interval)

    # Consuming

    def want(self, *queues: str) -> None:
        """There may be something ready in these queues."""
        if self._pump is not None:
            self._pump.want(*queues)

    def consuming(self, queue: str) -> None:
        """A consumer begins with `queue`."""
        followed = self._followed.get(queue)
        self.pump.consuming(queue, wakes=followed and followed[0])
        self._renewers["presence"].start()

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

    def holding(self) -> None:
        """Something has been leased."""
        if "leases" in self._renewers:
            self._renewers["leases"].start()

    def renew(self) -> None:
        """Renew every lease that is held here, and say again what the database refused. Any thread may call it."""
        deliveries = self.pump.read_ahead()
        for channel in list(self.channels):
            deliveries += channel.qos.deliveries()
        if deliveries:
            self.link.execute(statements.RENEW, held(deliveries) | {"lease": timedelta(seconds=self._lease_seconds)})
        self.pump.flush()

    def keep(self, exchange: str, body: str) -> None:
        """Append to the log that an exchange is; a thread writes it soon."""
        if exchange not in self._writers:
            self._writers[exchange] = EventWriter(address_of(self.client), exchange)
        self._writers[exchange].append(body)

    def follow(self, queue: str, exchange: str, pattern: str) -> None:
        """Let a queue read on in that log from now, what fits the pattern."""
        self._followed[queue] = exchange, EventReader(self.link, pattern)

    def _told(self, queue: str, payloads: Sequence[str]) -> None:
        if queue in self._followed:
            self._followed[queue][1].told(payloads)

    def follows(self, queue: str) -> bool:
        """Whether a queue reads in a log."""
        return queue in self._followed

    def unread(self, queue: str) -> list[Event]:
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
            self._run_and_wake()

    def _run(self) -> bool:
        if self._pump is None:
            return False
        done = self._pump.run_out(self.channels)
        if self._pump.look_again:
            self._pump.look_again = False
            self._loop.call_later(SECOND_LOOK_SECONDS, self._look_again)
        return done

    def _run_and_wake(self) -> None:
        """Where the loop is about to sleep, and has decided already for how long: what a consumer finished at once, or
        its pool is to write to its children, is seen in the next turn only.
        """
        if self._run():
            self.link.alert()

    def _look_again(self) -> None:
        if self._pump is not None:
            self._pump.want(*self._pump.queues)
            self._run_and_wake()

    # In an event loop

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        """Let the hub wake us by the socket, by the alarm, and by a timer for the beat."""
        self._loop = loop
        self.pump.most_ahead = int(self._options.get("read_ahead", READ_AHEAD))
        self._watched = [self.link.fileno(), self.link.alarm]
        loop.add_reader(self.link.fileno(), self._on_readable)
        loop.add_reader(self.link.alarm, self.link.calm)
        # Before the hub sleeps: other callbacks may have sent statements, whose answers brought notifications along.
        loop.on_tick.add(self._run_and_wake)
        self._timers = [loop.call_repeatedly(self.polling_interval, self._on_beat)]

    def _leave_loop(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        if self._loop is not None:
            self._loop.on_tick.discard(self._run_and_wake)
            for descriptor in self._watched:
                self._loop.remove(descriptor)
            self._loop = None

    def _on_readable(self) -> None:
        self.link.read()
        self._run()

    def _on_beat(self) -> None:
        self._resting = self.pump.dozes and not self._resting
        if not self._resting:
            self._beat()
            self._run_and_wake()

    def _beat(self) -> None:
        self.pump.beat()
        self.pump.want(*self._followed)

    # Without one

    def drain_events(self, connection: Any, timeout: float | None = None) -> None:
        """Deliver what there is, else wait for it; raises `socket.timeout` after `timeout` seconds without anything."""
        deadline = None if timeout is None else monotonic() + timeout
        while True:
            self.link.read()
            self.pump.hear()
            if monotonic() >= self._beat_at:
                self._beat()
                self._beat_at = monotonic() + self.polling_interval
            if self.pump.run(self.channels):
                return
            left = self.polling_interval if deadline is None else min(self.polling_interval, deadline - monotonic())
            if left <= 0:
                raise TimeoutError
            self.link.wait(left)


def _new_holder() -> str:
    """Nobody else's name on any machine, even where those share a name and all processes have the same number."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
