"""Gets messages out of the database and into consumers' hands: claims, leases, wake-ups and the beat beneath them.

A queue is *wanted* while there may be something ready in it: it was notified, a beat found something, or the last claim
was full. Only wanted queues are claimed from, and only while the consumer has capacity, so that an idle consumer costs
one statement a second, and one in two when it has been idle for long.
"""

import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Final, Protocol

from app.broker import dying, statements
from app.broker.cursor import Cursor, Restarts
from app.broker.delivery import Delivery, held
from app.broker.link import Link, channel_of
from app.broker.unsaid import Unsaid, forget

#: A batch that was done sooner than this may be followed by a larger one; one that took longer than the second holds
#: what another consumer could do.
EAGER_SECONDS: Final = 0.05
PATIENT_SECONDS: Final = 0.2

#: Full claims in a row after which a consumer says that it need not be woken.
BUSY_AFTER: Final = 8

#: What became due longer ago than this was dealt with by an earlier beat; now and then everything is looked at.
HORIZON = timedelta(seconds=10)
EVER = timedelta(days=36500)

#: A consumer that does not beat, being asleep or at work, says so often that it lives: to operators, one that is silent
#: for 15 seconds has gone.
LIFE_SECONDS: Final = 5.0

#: A consumer that has had nothing to do for so long takes its time.
DOZE_SECONDS: Final = 30.0

#: Beats from one tidying to the next.
TIDY_EVERY: Final = 30


class Consuming(Protocol):
    """What the pump needs of a channel."""

    @property
    def active_queues(self) -> Sequence[str]:
        """The queues that it consumes."""

    def free_capacity(self, queue: str) -> int:
        """How many more messages of a queue its consumers may hold; 0 where it has none."""

    def acknowledges(self, queue: str) -> bool:
        """Whether what it gets from the queue is leased; otherwise it is gone when it is claimed."""

    def claim(
        self,
        queue: str,
        limit: int,
        *,
        leased: bool = True,
        cursor: Cursor | None = None,
        acknowledged: Sequence[Delivery] = (),
    ) -> list[dict[str, Any]]:
        """Lease messages, or take them for good."""

    def deliver(self, queue: str, raw: dict[str, Any]) -> None:
        """Hand a message to a consumer."""


class Pump:
    """One per connection that consumes. Not thread-safe: it belongs to the thread that consumes."""

    def __init__(
        self,
        link: Link,
        name: str,
        *,
        node: str | None,
        unsaid: Unsaid,
        on_told: Callable[[str, Sequence[str]], None],
        loss_limit: int,
        on_dead: Sequence[str],
        on_expired: Sequence[str],
    ) -> None:
        self._link, self._name, self._node, self._unsaid = link, name, node, unsaid
        self._on_told, self._loss_limit = on_told, loss_limit
        self._on_dead, self._on_expired = on_dead, on_expired
        self._channels: dict[str, str] = {}
        self._consumers: Counter[str] = Counter()
        self._wanted: set[str] = set()
        self._cursors: defaultdict[str, Cursor] = defaultdict(Cursor)
        self._ahead: defaultdict[str, int] = defaultdict(int)
        self._claimed_at: defaultdict[str, float] = defaultdict(float)
        self._buffers: defaultdict[tuple[Consuming, str], deque[dict[str, Any]]] = defaultdict(deque)
        self._restarts = Restarts()
        self._beats = 0
        self._beaten_at = time.monotonic()
        self._claims = 0
        self._full_claims = 0
        self._busy = False
        self._turn = 0
        self.most_ahead = 0
        """How many messages beyond its capacity a consumer may take along."""
        self.idle = True
        """Whether publishers are asked to wake us."""
        self.look_again = False
        """Whether it fell asleep and must look again when publishers have had time to commit."""
        self.claimed_at = time.monotonic()
        """When something was last claimed."""

    @property
    def queues(self) -> list[str]:
        """The queues that are consumed through this connection."""
        return list(self._channels)

    def consuming(self, queue: str, *, wakes: str | None = None) -> None:
        """Begin with a queue: listen first, then look, so that nothing falls between. It is woken by its own name, or
        by that of the exchange that `wakes` it.
        """
        if not self._channels:
            self._arrive()
        self._consumers[queue] += 1
        self._channels[queue] = channel_of(wakes or queue)
        self._link.listen(self._channels[queue])
        self._link.execute(statements.ANNOUNCE, self._alive())
        self.want(queue)

    def not_consuming(self, queue: str) -> None:
        """One consumer ends with a queue; after the last one nothing more is heard of it."""
        self._consumers[queue] -= 1
        if self._consumers[queue] > 0:
            return
        channel = self._channels.pop(queue, None)
        self._wanted.discard(queue)
        self._cursors.pop(queue, None)
        if channel is not None and channel not in self._channels.values():
            self._link.unlisten(channel)
        if self._channels:
            self._link.execute(statements.ANNOUNCE, self._alive())
        else:
            self._depart()

    def give_back(self, channel: Consuming, queue: str) -> list[Delivery]:
        """What was claimed ahead for a channel, which consumes from the queue no more."""
        buffer = self._buffers.pop((channel, queue), deque())
        ahead = [Delivery.of(message["properties"]) for message in buffer if "delivery" in message["properties"]]
        buffer.clear()
        return ahead

    def rename(self, name: str, node: str) -> None:
        """Go by another name from now on; what is held stays with the old one."""
        if self._channels:
            self._depart()
        self._name, self._node = name, node
        if self._channels:
            self._arrive()
            self._link.execute(statements.ANNOUNCE, self._alive())

    def _arrive(self) -> None:
        self._link.execute(statements.ARRIVE, {"name": self._name})

    def _depart(self) -> None:
        self._link.execute(statements.DEPART, {"name": self._name})

    def want(self, *queues: str) -> None:
        """There may be something ready in these queues."""
        self._wanted.update(queues)

    def acknowledge(self, delivery: Delivery) -> None:
        """Delete a finished message with the next claim or flush."""
        self._unsaid.finished[delivery.tag] = delivery

    def flush(self) -> None:
        """Delete what was finished since the last claim, and give back what a lost connection had claimed ahead. Any
        thread may call it.
        """
        done, ahead = list(self._unsaid.finished.values()), list(self._unsaid.unbegun.values())
        if done:
            self._link.execute(statements.ACKNOWLEDGE, {f"acked_{name}": values for name, values in held(done).items()})
            forget(done, self._unsaid.finished)
        if ahead:
            self._link.execute(statements.UNCLAIM, held(ahead))
            forget(ahead, self._unsaid.unbegun)

    def lose(self) -> None:
        """The connection has gone, and its consumers with it: what was claimed ahead for them is for others."""
        self._unsaid.unbegun.update((delivery.tag, delivery) for delivery in self.read_ahead())

    def read_ahead(self) -> list[Delivery]:
        """What was claimed and is not delivered yet."""
        waiting = [message["properties"] for buffer in tuple(self._buffers.values()) for message in tuple(buffer)]
        return [Delivery.of(properties) for properties in waiting if "delivery" in properties]

    def hear(self) -> None:
        """Want the queues that were notified."""
        heard = self._link.heard()
        if heard:
            for queue, channel in self._channels.items():
                if channel in heard:
                    self._wanted.add(queue)
                    self._on_told(queue, heard[channel])

    def beat(self) -> None:
        """Say what is unsaid and that we live, make due messages ready, and want the queues that have some."""
        if not self._channels:
            return
        self.flush()
        restart = self._restarts.due
        if restart:
            for cursor in self._cursors.values():
                cursor.restart()
        began = self._beaten_at = time.monotonic()
        tidy = statements.TIDY if self._beats % TIDY_EVERY == 0 else ""
        self._beats += 1
        parameters = self._beat_parameters(EVER if restart else HORIZON)
        for queue, moved in dying.beat(self._link, self._on_dead, self._on_expired, parameters, tidy=tidy):
            if moved:
                self._cursors[queue].restart()
            self._wanted.add(queue)
        if restart:
            self._restarts.took(time.monotonic() - began)

    @property
    def dozes(self) -> bool:
        """Whether there has been nothing to do for a while, so that half as many beats are enough."""
        return time.monotonic() - self.claimed_at > DOZE_SECONDS

    def live_on(self) -> None:
        """Say that we live, where no beat has said so lately. Any thread may call it."""
        if self._channels and time.monotonic() - self._beaten_at >= LIFE_SECONDS - 1:
            self._link.execute(statements.ANNOUNCE, self._alive())

    def _beat_parameters(self, horizon: timedelta) -> dict[str, Any]:
        cursors = [(queue, self._cursors[queue].parameters()) for queue in self.queues]
        return self._alive() | {
            "horizon": horizon,
            "loss_limit": self._loss_limit,
            "cursor_queues": [queue for queue, cursor in cursors for _ in cursor["after"]],
            "priorities": [priority for _, cursor in cursors for priority in cursor["priorities"]],
            "after": [after for _, cursor in cursors for after in cursor["after"]],
        }

    def _alive(self) -> dict[str, Any]:
        return {"name": self._name, "node": self._node, "queues": self.queues, "idle": self.idle}

    def run_out(self, channels: Sequence[Consuming]) -> bool:
        """Deliver until nothing is wanted or nobody has room; answers whether anything was done.

        A notification may come with the answer to a claim and leave the socket silent, so it is asked for after each.
        """
        done = False
        while True:
            self.hear()
            claims = self._claims
            done = bool(self.run(channels)) or done
            if self._claims == claims:
                return done
            done = True

    def run(self, channels: Sequence[Consuming]) -> int:
        """Deliver what each consumer has room for; answers how many messages. Not re-entered: a delivery may finish at
        once and free its room.
        """
        if self._busy:
            return 0
        self._busy, delivered = True, 0
        try:
            for channel, queue in self._in_turn(channels):
                delivered += self._serve(channel, queue)
            self._turn += bool(delivered)
        finally:
            self._busy = False
        return delivered

    def _in_turn(self, channels: Sequence[Consuming]) -> list[tuple[Consuming, str]]:
        """Who may be served: another one first after each time, so that a queue which is always full starves none."""
        everybody = [(channel, queue) for channel in channels for queue in channel.active_queues]
        pairs = [pair for pair in everybody if pair[1] in self._wanted or self._buffers.get(pair)]
        start = self._turn % len(pairs) if pairs else 0
        return pairs[start:] + pairs[:start]

    def _serve(self, channel: Consuming, queue: str) -> int:
        delivered = self._empty_buffer(channel, queue)
        capacity = channel.free_capacity(queue)
        if queue in self._wanted and capacity:
            self._claim(channel, queue, capacity)
            delivered += self._empty_buffer(channel, queue)
        return delivered

    def _empty_buffer(self, channel: Consuming, queue: str) -> int:
        delivered, buffer = 0, self._buffers.get((channel, queue))
        while buffer and channel.free_capacity(queue):
            channel.deliver(queue, buffer.popleft())
            delivered += 1
        return delivered

    def _claim(self, channel: Consuming, queue: str, capacity: int) -> None:
        # Not wanted from here on unless notified again: clearing it after the claim would lose a notification that
        # arrives meanwhile.
        self._wanted.discard(queue)
        self._claims += 1
        leased = channel.acknowledges(queue)
        limit = capacity + (self._look_ahead(queue) if leased else 0)
        claimed = self._claim_once(channel, queue, limit)
        if claimed < limit and not self._cursors[queue].at_the_beginning:
            # Something may have been given back, or committed late, behind the cursor.
            self._cursors[queue].restart()
            claimed += self._claim_once(channel, queue, limit - claimed)
        if claimed and leased:
            self.claimed_at = time.monotonic()
        if claimed < limit:
            self._fell_asleep()
        else:
            self._wanted.add(queue)
            self._grew_busy()

    def _claim_once(self, channel: Consuming, queue: str, limit: int) -> int:
        """Claim into the buffer, so that what it brought is known though the next statement fails; answers how many."""
        leased = channel.acknowledges(queue)
        done = list(self._unsaid.finished.values()) if leased else []
        claimed = channel.claim(queue, limit, leased=leased, cursor=self._cursors[queue], acknowledged=done)
        forget(done, self._unsaid.finished)
        self._buffers[channel, queue].extend(claimed)
        return len(claimed)

    def _look_ahead(self, queue: str) -> int:
        """How many messages beyond its capacity a consumer that is quick with them takes along."""
        now = time.monotonic()
        since, self._claimed_at[queue] = now - self._claimed_at[queue], now
        if since < EAGER_SECONDS and self._full_claims:
            self._ahead[queue] = min(2 * self._ahead[queue] + 1, self.most_ahead)
        elif since > PATIENT_SECONDS:
            self._ahead[queue] = 0
        return self._ahead[queue]

    def _grew_busy(self) -> None:
        self._full_claims += 1
        if self.idle and self._full_claims >= BUSY_AFTER:
            self._set_idle(False)

    def _fell_asleep(self) -> None:
        self._full_claims = 0
        if not self.idle:
            # Look again at once: whoever published before this was known did not wake us. And a little later: who then
            # was about to commit did not either.
            self._set_idle(True)
            self.look_again = True
            self._wanted.update(self._channels)

    def _set_idle(self, idle: bool) -> None:
        self.idle = idle
        self._link.execute(statements.SET_IDLE, {"name": self._name, "idle": idle})

    def depart(self) -> None:
        """Say that we go, having flushed what was finished."""
        self.flush()
        if self._channels:
            self._depart()
