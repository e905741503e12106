"""The messages in a consumer's hands, and what becomes of them."""

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import psycopg
from kombu.transport import virtual

from app.broker.delivery import SETTLED_BY_TASK, Delivery

if TYPE_CHECKING:
    from app.broker.channel import Channel


class QoS(virtual.QoS):  # type: ignore[misc]
    """What leaves it is acknowledged, given back or set aside in the database, never published again.

    After a lost connection the channel belongs to none. What is done then is acknowledged over the next one; what
    cannot be said any more is found out by its lease.
    """

    channel: "Channel"
    _delivered: dict[str, Any]
    _dirty: set[str]

    def held(self) -> int:
        """How many messages are in hand."""
        return len(self._delivered) - len(self._dirty)

    def free_capacity(self) -> int | None:
        """How many more may be; none without a limit."""
        return max(self.prefetch_count - self.held(), 0) if self.prefetch_count else None

    def deliveries(self) -> list[Delivery]:
        """Every lease that is held and must be renewed."""
        return [
            Delivery.of(message.properties) for tag, message in list(self._delivered.items()) if tag not in self._dirty
        ]

    def ack(self, delivery_tag: str) -> None:
        """The work is done. A message that its task settles is only let go of."""
        message = self._let_go(delivery_tag)
        if message is not None and not message.properties.get(SETTLED_BY_TASK):
            self.channel.acknowledge(Delivery.of(message.properties))
        self.channel.capacity_freed()

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Give the message back, or set it aside.

        One that its task settles comes back here only because its worker died, or because the consumer wants nothing
        to do with it; the others were given back on purpose.
        """
        message = self._let_go(delivery_tag)
        if message is not None:
            delivery, by_task = Delivery.of(message.properties), bool(message.properties.get(SETTLED_BY_TASK))
            if requeue:
                self.channel.release([delivery], losses=int(by_task), requeues=int(not by_task))
            else:
                self.channel.bury(delivery, reason="rejected")
        self.channel.capacity_freed()

    def forget(self) -> None:
        """Hold nothing any more, without giving it back."""
        self._delivered.clear()
        self._dirty.clear()

    def restore_unacked(self) -> None:
        """Give everything back, uncounted."""
        held = self.deliveries()
        if held:
            self.channel.release(held, losses=0, requeues=0)
        self.forget()

    def restore_unacked_once(self, stderr: object = None) -> None:
        """At a graceful end: give everything back, uncounted. Over a lost connection it stays in hand."""
        self._on_collect.cancel()
        with suppress(psycopg.OperationalError, psycopg.InterfaceError):
            self.restore_unacked()

    def _let_go(self, delivery_tag: str) -> Any:
        message = self._delivered.get(delivery_tag)
        if message is not None:  # What needed no acknowledgement may be acknowledged all the same.
            self._quick_ack(delivery_tag)
        return message
