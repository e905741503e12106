"""kombu's channel over `broker.messages`: publish, claim, acknowledge, reject, declare and bind."""

import json
from collections.abc import Iterable, Sequence
from datetime import timedelta
from queue import Empty
from typing import TYPE_CHECKING, Any

from kombu.transport import virtual

from app.broker import statements
from app.broker.delivery import SETTLED_BY_TASK, Delivery
from app.broker.publishing import current_connection

if TYPE_CHECKING:
    from app.broker.transport import Transport

#: A channel without a prefetch limit claims this many at a time.
UNLIMITED_CLAIM = 32


class QoS(virtual.QoS):  # type: ignore[misc]
    """The messages in a consumer's hands. What leaves it is acknowledged or released in the database, never published
    again.
    """

    channel: "Channel"
    _delivered: dict[str, Any]
    _dirty: set[str]

    def deliveries(self) -> list[Delivery]:
        """Every lease that is held and must be renewed."""
        return [
            Delivery.of(message.properties) for tag, message in list(self._delivered.items()) if tag not in self._dirty
        ]

    def ack(self, delivery_tag: str) -> None:
        """The work is done. A message that its task settles is only let go of."""
        message = self._delivered.get(delivery_tag)
        super().ack(delivery_tag)
        if message is not None and not message.properties.get(SETTLED_BY_TASK):
            self.channel.acknowledge([Delivery.of(message.properties)])
        self.channel.capacity_freed()

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Give the message back at once, or drop it. One whose task settles it is never dropped here: its lease runs
        out instead.
        """
        message = self._delivered.get(delivery_tag)
        virtual.QoS.ack(self, delivery_tag)
        if message is not None:
            delivery = Delivery.of(message.properties)
            if requeue:
                self.channel.release([delivery], lost=True)
            elif not message.properties.get(SETTLED_BY_TASK):
                self.channel.acknowledge([delivery])
        self.channel.capacity_freed()

    def restore_unacked_once(self, stderr: object = None) -> None:
        """At a graceful end: give everything back, uncounted. After a lost connection the leases run out."""
        self._on_collect.cancel()
        held = self.deliveries()
        self._delivered.clear()
        self._dirty.clear()
        if held and self.channel.connection is not None:
            self.channel.release(held, lost=False)


class Channel(virtual.Channel):  # type: ignore[misc]
    """One channel; its statements run on the transport's connection, or inside `publishing_in` on the caller's."""

    QoS = QoS
    supports_fanout = True
    body_encoding = "utf-8"
    from_transport_options = (*virtual.Channel.from_transport_options, "label_headers", "on_claim", "lease_seconds")
    label_headers: tuple[str, str] = ("function_id", "execution_id")
    on_claim: dict[str, str] = {}  # noqa: RUF012 - kombu sets it per instance from the transport's options
    lease_seconds: float = 15
    connection: "Transport"

    def __init__(self, connection: "Transport", **kwargs: Any) -> None:
        super().__init__(connection, **kwargs)
        self._declared: set[str] = set()
        self._no_ack: set[str] = set()

    @property
    def lease(self) -> timedelta:
        """How long a claim holds without renewal."""
        return timedelta(seconds=self.lease_seconds)

    # Publishing

    def _put(self, queue: str, message: dict[str, Any], **_kwargs: Any) -> None:
        headers = message.get("headers") or {}
        function_id, execution_id = (headers.get(name) for name in self.label_headers)
        parameters = {
            "queue": queue,
            "priority": self._get_message_priority(message),
            "function_id": function_id,
            "execution_id": execution_id,
            "payload": json.dumps(message),
        }
        caller = current_connection()
        if caller is not None:
            caller.execute(statements.PUBLISH, parameters)
        else:
            self.connection.link.execute(statements.PUBLISH, parameters)
            self.connection.link.notify(queue)

    def encode_body(self, body: Any, encoding: str | None = None) -> tuple[Any, str]:
        """Text is stored as it is, so that people can read it; bytes in base64."""
        encoding = "base64" if isinstance(body, bytes) else encoding or self.body_encoding
        encoded, used = super().encode_body(body, encoding)
        return encoded, used

    def _put_fanout(self, exchange: str, message: dict[str, Any], routing_key: str, **_kwargs: Any) -> None:
        link = self.connection.link
        parameters = {
            "exchange": exchange,
            "priority": self._get_message_priority(message),
            "payload": json.dumps(message),
        }
        queues = [queue for (queue,) in link.execute(statements.PUBLISH_FANOUT, parameters)]
        if queues:
            link.notify(*queues)

    # Consuming

    @property
    def active_queues(self) -> Sequence[str]:
        """The queues that this channel consumes."""
        return list(self._active_queues)

    def free_capacity(self) -> int:
        """How many more messages the consumer may hold."""
        estimate = self.qos.can_consume_max_estimate()
        return UNLIMITED_CLAIM if estimate is None else min(estimate, UNLIMITED_CLAIM)

    def claim(self, queue: str, limit: int) -> list[dict[str, Any]]:
        """Lease at most `limit` messages of `queue`; consumers that never acknowledge get theirs deleted at once."""
        parameters = {"queue": queue, "limit": limit, "holder": self.connection.consumer_name, "lease": self.lease}
        statement = statements.TAKE if queue in self._no_ack else self._claim_statement(queue)
        return [_received(*row) for row in self.connection.link.execute(statement, parameters)]

    def _claim_statement(self, queue: str) -> str:
        hook = self.on_claim.get(queue)
        return statements.CLAIM.format(
            on_claim=statements.CLAIM_CARRYING.format(hook=hook) if hook else statements.CLAIM_PLAIN
        )

    def basic_consume(self, queue: str, no_ack: bool, callback: Any, consumer_tag: str, **kwargs: Any) -> None:
        """Consume from `queue`, hearing its notifications from now on."""
        if no_ack:
            self._no_ack.add(queue)
        super().basic_consume(queue, no_ack, callback, consumer_tag, **kwargs)
        self.connection.consuming(queue)

    def basic_cancel(self, consumer_tag: str) -> None:
        """Stop consuming; tolerates a connection that is already gone."""
        queue = self._tag_to_queue.get(consumer_tag)
        if self.connection is not None and queue is not None:
            super().basic_cancel(consumer_tag)
            self._no_ack.discard(queue)
            self.connection.not_consuming(queue)

    def _get(self, queue: str, timeout: float | None = None) -> dict[str, Any]:
        for message in self.claim(queue, 1):
            return message
        raise Empty

    def acknowledge(self, deliveries: Iterable[Delivery]) -> None:
        """Delete these messages where their tokens still hold."""
        self._guarded(statements.ACKNOWLEDGE, deliveries)

    def release(self, deliveries: Iterable[Delivery], *, lost: bool) -> None:
        """Make these messages ready again; `lost` counts the loss against each."""
        self._guarded(statements.RELEASE, deliveries, delay=timedelta(0), losses=int(lost))
        self.connection.wanted.update(self._active_queues)

    def renew(self) -> None:
        """Renew every lease that this channel holds, in one statement."""
        held = self.qos.deliveries()
        if held:
            self._guarded(statements.RENEW, held, lease=self.lease)

    def _guarded(self, statement: str, deliveries: Iterable[Delivery], **parameters: Any) -> None:
        held = list(deliveries)
        parameters |= {
            "ids": [delivery.message_id for delivery in held],
            "tokens": [delivery.token for delivery in held],
        }
        self.connection.link.execute(statement, parameters)

    def capacity_freed(self) -> None:
        """Something left the consumer's hands; after a lost connection there is nobody to tell."""
        if self.connection is not None:
            self.connection.capacity_freed()

    # Queues and bindings

    def _new_queue(self, queue: str, **_kwargs: Any) -> None:
        if queue not in self._declared:
            self.connection.link.execute(statements.DECLARE_QUEUE, {"queue": queue})
            self._declared.add(queue)

    def _has_queue(self, queue: str, **_kwargs: Any) -> bool:
        return self.connection.link.execute(statements.HAS_QUEUE, {"queue": queue}).fetchone() is not None

    def queue_delete(self, queue: str, if_unused: bool = False, if_empty: bool = False, **_kwargs: Any) -> None:
        """Delete a queue with its bindings and messages."""
        if not (if_empty and self._size(queue)):
            self._delete(queue)
            self.state.queue_bindings_delete(queue)

    def _delete(self, queue: str, *_args: Any, **_kwargs: Any) -> None:
        self.connection.link.execute(statements.DELETE_QUEUE, {"queue": queue})
        self._declared.discard(queue)

    def _purge(self, queue: str) -> int:
        return int(self.connection.link.execute(statements.PURGE_QUEUE, {"queue": queue}).rowcount)

    def _size(self, queue: str) -> int:
        row = self.connection.link.execute(statements.SIZE, {"queue": queue}).fetchone()
        return int(row[0]) if row else 0

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        parameters = {"exchange": exchange, "routing_key": routing_key or "", "pattern": pattern or "", "queue": queue}
        self.connection.link.execute(statements.BIND, parameters)

    def get_table(self, exchange: str) -> list[tuple[str, str, str]]:
        """The bindings of an exchange, shared by every process."""
        return self.connection.link.execute(statements.BINDINGS, {"exchange": exchange}).fetchall()


def _received(message_id: int, deliveries: int, losses: int, payload: dict[str, Any], carried: Any) -> dict[str, Any]:
    """kombu's raw message with our delivery in its properties, which Celery hands on to the task."""
    delivery = Delivery(message_id, deliveries, losses, carried)
    payload["properties"] |= {
        "delivery_tag": delivery.tag,
        "delivery": {"message_id": message_id, "token": deliveries, "losses": losses, "carried": carried},
    }
    return payload
