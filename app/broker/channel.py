"""kombu's channel over `broker.messages`: publish, claim, acknowledge, reject, declare and bind."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from queue import Empty
from typing import Any, Protocol

from kombu.transport import virtual
from kombu.transport.base import to_rabbitmq_queue_arguments

from app.broker import statements, topology
from app.broker.cursor import Cursor
from app.broker.delivery import LOSS_LIMIT, REQUEUE_LIMIT, Delivery, held
from app.broker.events import Event
from app.broker.link import Link
from app.broker.publishing import addressed_to, current_connection
from app.broker.qos import QoS

#: A channel without a prefetch limit claims this many at a time.
UNLIMITED_CLAIM = 32

_AT_ONCE = timedelta(0)

#: What a consumer does not understand waits so long for one that does.
_FOR_OTHERS = timedelta(seconds=5)


class Carrier(Protocol):
    """What a channel needs of its transport."""

    link: Link
    consumer_name: str

    def consuming(self, queue: str) -> None:
        """A channel begins to consume `queue`."""

    def not_consuming(self, queue: str) -> None:
        """The last consumer of `queue` here has gone."""

    def acknowledge(self, delivery: Delivery) -> None:
        """Delete a message that is done, now or with the next claim."""

    def keep(self, exchange: str, body: str) -> None:
        """Append to the log that an exchange is."""

    def follow(self, queue: str, exchange: str, pattern: str) -> None:
        """Let a queue read on in that log from now, what fits the pattern."""

    def follows(self, queue: str) -> bool:
        """Whether a queue reads in a log."""

    def unread(self, queue: str) -> list[Event]:
        """The next events of a queue that does."""

    def capacity_freed(self) -> None:
        """A consumer may take more."""

    def want(self, *queues: str) -> None:
        """There may be something ready in these queues."""


class Channel(virtual.Channel):  # type: ignore[misc]
    """One channel; its statements run on the transport's connection, or inside `publishing_in` on the caller's."""

    QoS = QoS
    supports_fanout = True
    body_encoding = "utf-8"
    from_transport_options = (
        *virtual.Channel.from_transport_options,
        *("label_headers", "lease_seconds", "on_claim", "on_dead", "loss_limit", "requeue_limit", "kept_exchanges"),
        "message_schema",
    )
    label_headers: tuple[str, str] = ("function_id", "execution_id")
    lease_seconds: float = 15
    on_claim: Mapping[str, str] = {}
    on_dead: Sequence[str] = ()
    loss_limit: int = LOSS_LIMIT
    requeue_limit: int = REQUEUE_LIMIT
    kept_exchanges: Sequence[str] = ("celeryev",)
    message_schema: int | None = None
    connection: Carrier | None

    def __init__(self, connection: Carrier, **kwargs: Any) -> None:
        super().__init__(connection, **kwargs)
        self._declared: set[str] = set()
        self._no_ack: set[str] = set()
        self._automatic: set[str] = set()

    @property
    def link(self) -> Link:
        """The transport's connection; raises psycopg's InterfaceError after the channel was closed."""
        if self.connection is None:
            raise Link.closed()
        return self.connection.link

    @property
    def lease(self) -> timedelta:
        """How long a claim holds without renewal."""
        return timedelta(seconds=self.lease_seconds)

    # Publishing

    def basic_publish(self, message: dict[str, Any], exchange: str, routing_key: str, **kwargs: Any) -> None:
        """Publish a message; what goes to an exchange that is a log is appended there once."""
        if exchange in self.kept_exchanges and self.connection is not None:
            if message.get("content-type") != "application/json":
                error = "events are kept as JSON only: set event_serializer to json"
                raise ValueError(error)
            self.connection.keep(exchange, message["body"])
        else:
            super().basic_publish(message, exchange, routing_key, **kwargs)

    def _put(self, queue: str, message: dict[str, Any], **_kwargs: Any) -> None:
        headers = message.get("headers") or {}
        function_id, execution_id = (headers.get(name) for name in self.label_headers)
        parameters = addressed_to(queue) | {
            "priority": self._get_message_priority(message),
            "delay": _delay(headers.get("eta")),
            "ttl": _ttl(message),
            "function_id": function_id,
            "execution_id": execution_id,
            "payload": json.dumps(message),
        }
        caller = current_connection()
        if caller is not None:
            caller.execute(statements.PUBLISH, parameters)
        else:
            self.link.execute(statements.PUBLISH, parameters)

    def encode_body(self, body: Any, encoding: str | None = None) -> tuple[Any, str]:
        """Text is stored as it is, so that people can read it; bytes in base64."""
        encoding = "base64" if isinstance(body, bytes) else encoding or self.body_encoding
        encoded, used = super().encode_body(body, encoding)
        return encoded, used

    def _put_fanout(self, exchange: str, message: dict[str, Any], routing_key: str, **_kwargs: Any) -> None:
        parameters = {
            "exchange": exchange,
            "priority": self._get_message_priority(message),
            "ttl": _ttl(message),
            "payload": json.dumps(message),
        }
        queues = [queue for (queue,) in self.link.execute(statements.PUBLISH_FANOUT, parameters)]
        if queues:
            self.link.notify(*queues)

    # Consuming

    @property
    def active_queues(self) -> Sequence[str]:
        """The queues that this channel consumes."""
        return list(self._active_queues)

    def free_capacity(self) -> int:
        """How many more messages the consumer may hold."""
        estimate = self.qos.can_consume_max_estimate()
        return UNLIMITED_CLAIM if estimate is None else int(estimate)

    def acknowledges(self, queue: str) -> bool:
        """Whether what it gets from the queue is leased; otherwise it is gone when it is claimed."""
        return queue not in self._no_ack

    def claim(
        self, queue: str, limit: int, *, cursor: Cursor | None = None, acknowledged: Sequence[Delivery] = ()
    ) -> list[dict[str, Any]]:
        """Lease at most `limit` messages of `queue`, and delete what was `acknowledged` in the same statement.

        Consumers that never acknowledge get theirs deleted at once. What cannot be a message is set aside.
        """
        if self.connection is not None and self.connection.follows(queue):
            return list(_happened(queue, self.connection.unread(queue)))
        cursor = cursor or Cursor()
        parameters: dict[str, Any] = {"queue": queue, "limit": limit} | cursor.parameters()
        if self.acknowledges(queue):
            statement = self._claim_statement(queue, acknowledging=bool(acknowledged))
            parameters |= {"holder": self._name, "lease": self.lease}
            parameters |= {f"acked_{name}": values for name, values in held(acknowledged).items()}
        else:
            statement = statements.TAKE
        messages = []
        for message_id, priority, deliveries, losses, payload, carried in self.link.execute(statement, parameters):
            cursor.passed(priority, message_id)
            delivery = Delivery(message_id, deliveries, losses, carried)
            if not _is_message(payload):
                if self.acknowledges(queue):
                    self.bury(delivery, reason="undecodable")
            elif self.message_schema is not None and _schema(payload) > self.message_schema:
                self.release([delivery], losses=0, requeues=1, delay=_FOR_OTHERS)
            else:
                messages.append(_received(delivery, payload))
        return messages

    @property
    def _name(self) -> str:
        return self.connection.consumer_name if self.connection is not None else ""

    def _claim_statement(self, queue: str, *, acknowledging: bool) -> str:
        hook = self.on_claim.get(queue)
        return statements.CLAIM.format(
            acknowledging=statements.ACKNOWLEDGING if acknowledging else "",
            on_claim=statements.CLAIM_CARRYING.format(hook=hook) if hook else statements.CLAIM_PLAIN,
        )

    def basic_consume(self, queue: str, no_ack: bool, callback: Any, consumer_tag: str, **kwargs: Any) -> None:
        """Consume from `queue`, hearing its notifications from now on. What a log gives needs no acknowledgement."""
        no_ack = no_ack or (self.connection is not None and self.connection.follows(queue))
        if no_ack:
            self._no_ack.add(queue)
        super().basic_consume(queue, no_ack, callback, consumer_tag, **kwargs)
        if self.connection is not None:
            self.connection.consuming(queue)

    def basic_cancel(self, consumer_tag: str) -> None:
        """Stop consuming; tolerates a connection that is already gone."""
        queue = self._tag_to_queue.get(consumer_tag)
        if self.connection is None or queue is None:
            return
        super().basic_cancel(consumer_tag)
        self._no_ack.discard(queue)
        self.connection.not_consuming(queue)
        if queue in self._automatic:
            topology.delete_automatic_queue(self.link, queue, consumer=self._name)
            self._declared.discard(queue)

    def _get(self, queue: str, timeout: float | None = None) -> dict[str, Any]:
        for message in self.claim(queue, 1):
            return message
        raise Empty

    def acknowledge(self, delivery: Delivery) -> None:
        """Delete the message if its token still holds, now or with the next claim."""
        if self.connection is not None:
            self.connection.acknowledge(delivery)

    def release(
        self, deliveries: Sequence[Delivery], *, losses: int, requeues: int, delay: timedelta = _AT_ONCE
    ) -> None:
        """Make these messages ready again, at once or later, and count why, or set aside those for which that was once
        too often.
        """
        if self.connection is None:
            return
        counted = {"delay": delay, "losses": losses, "requeues": requeues}
        limits = {"loss_limit": self.loss_limit, "requeue_limit": self.requeue_limit}
        statement = statements.with_hooks(statements.RELEASE, self.on_dead)
        self.link.execute(statement, held(deliveries) | counted | limits)
        self.connection.want(*self._active_queues)

    def bury(self, delivery: Delivery, *, reason: str) -> None:
        """Set a message aside, with every byte."""
        if self.connection is not None:
            statement = statements.with_hooks(statements.BURY, self.on_dead)
            self.link.execute(statement, held([delivery]) | {"reason": reason})

    def renew(self) -> None:
        """Renew every lease that this channel holds, in one statement."""
        deliveries = self.qos.deliveries()
        if deliveries:
            self.link.execute(statements.RENEW, held(deliveries) | {"lease": self.lease})

    def capacity_freed(self) -> None:
        """Something left the consumer's hands; after a lost connection there is nobody to tell."""
        if self.connection is not None:
            self.connection.capacity_freed()

    # Queues and bindings

    def prepare_queue_arguments(self, arguments: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """What a queue of kombu's asks for by name, as AMQP's arguments."""
        prepared: dict[str, Any] = to_rabbitmq_queue_arguments(arguments, **kwargs)
        return prepared

    def _new_queue(
        self, queue: str, *, auto_delete: bool = False, arguments: Mapping[str, Any] | None = None, **_kwargs: Any
    ) -> None:
        if auto_delete:
            self._automatic.add(queue)
        if queue not in self._declared:
            topology.declare_queue(self.link, queue, auto_delete=auto_delete, arguments=arguments or {})
            self._declared.add(queue)

    def _has_queue(self, queue: str, **_kwargs: Any) -> bool:
        return topology.has_queue(self.link, queue)

    def queue_delete(self, queue: str, if_unused: bool = False, if_empty: bool = False, **_kwargs: Any) -> None:
        """Delete a queue with its bindings and messages, unless it is in use or has something in it where asked so."""
        if (if_empty and self._size(queue)) or (if_unused and topology.has_consumers(self.link, queue)):
            return
        self._delete(queue)
        self.state.queue_bindings_delete(queue)

    def _delete(self, queue: str, *_args: Any, **_kwargs: Any) -> None:
        topology.delete_queue(self.link, queue)
        self._declared.discard(queue)

    def _purge(self, queue: str) -> int:
        return topology.purge(self.link, queue)

    def _size(self, queue: str) -> int:
        return topology.size(self.link, queue)

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        if exchange in self.kept_exchanges and self.connection is not None:
            self.connection.follow(queue, exchange, pattern or "")
        topology.bind(self.link, exchange, routing_key or "", pattern or "", queue)

    def queue_unbind(
        self,
        queue: str,
        exchange: str | None = None,
        routing_key: str = "",
        arguments: Mapping[str, Any] | None = None,
        **_kwargs: Any,
    ) -> None:
        """End a binding."""
        self.state.binding_delete(queue, exchange, routing_key)
        topology.unbind(self.link, exchange or "", routing_key or "", queue)

    def get_table(self, exchange: str) -> list[tuple[str, str, str]]:
        """The bindings of an exchange, shared by every process."""
        return topology.bindings(self.link, exchange)


def _delay(eta: str | None) -> timedelta:
    """How long a task of Celery's with an `eta` waits in the database. Both ends are the publisher's clock, so that a
    countdown is right whatever the clocks of others say.
    """
    if not eta:
        return _AT_ONCE
    moment = datetime.fromisoformat(eta)
    return max(moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC), _AT_ONCE)


def _ttl(message: Mapping[str, Any]) -> timedelta | None:
    """AMQP's property `expiration`: milliseconds, as text."""
    expiration = message["properties"].get("expiration")
    return None if expiration is None else timedelta(milliseconds=float(expiration))


def _is_message(payload: Any) -> bool:
    return (
        isinstance(payload, dict)
        and isinstance(payload.get("properties"), dict)
        and isinstance(payload["properties"].get("delivery_info"), dict)
        and isinstance(payload.get("headers") or {}, dict)
        and isinstance(payload.get("body"), str)
    )


def _schema(payload: Mapping[str, Any]) -> int:
    """The version that the sender gave its message; none is the first."""
    schema = (payload.get("headers") or {}).get("schema", 1)
    return schema if isinstance(schema, int) else 1


def _received(delivery: Delivery, payload: dict[str, Any]) -> dict[str, Any]:
    """kombu's raw message with our delivery in its properties, which Celery hands on to the task.

    A message that was delayed here has waited long enough: with its `eta` the worker would hold it by its own clock.
    """
    if (payload.get("headers") or {}).get("eta"):
        payload["headers"]["eta"] = None
    payload["properties"] |= {
        "delivery_tag": delivery.tag,
        "delivery": {
            "message_id": delivery.message_id,
            "token": delivery.token,
            "losses": delivery.losses,
            "carried": delivery.carried,
        },
    }
    return payload


def _happened(queue: str, events: Sequence[Event]) -> Iterator[dict[str, Any]]:
    """Events as Celery's own senders send them: those of tasks many in one message, each of a worker's in one of its
    own, which is all that workers that gossip understand.
    """
    for of_tasks, group in groupby(events, key=lambda event: event[0].startswith("task-")):
        if of_tasks:
            yield _event_message(queue, "task.multi", f"[{','.join(event for _, event in group)}]")
        else:
            yield from (_event_message(queue, kind.replace("-", "."), event) for kind, event in group)


def _event_message(queue: str, routing_key: str, body: str) -> dict[str, Any]:
    return {
        "body": body,
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {},
        "properties": {
            "delivery_tag": f"{queue}.{id(body)}",
            "delivery_info": {"exchange": "", "routing_key": routing_key},
            "body_encoding": "utf-8",
        },
    }
