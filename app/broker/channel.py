"""kombu's channel over `broker.messages`: publish, claim, acknowledge, reject."""

import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any
from uuid import UUID

from app.broker import dying, publishing_statements, statements, topology
from app.broker.carrier import Carrier
from app.broker.cursor import Cursor
from app.broker.declaring import DeclaringChannel
from app.broker.delivery import LOSS_LIMIT, REQUEUE_LIMIT, Delivery, held
from app.broker.events import Event
from app.broker.lanes import Place
from app.broker.link import Link, execute
from app.broker.payload import read, schema, stored
from app.broker.publishing import addressed_to, current_connection
from app.broker.qos import QoS

log = logging.getLogger(__name__)

#: A channel without a prefetch limit claims this many at a time.
UNLIMITED_CLAIM = 32

#: What is sent to a queue that nobody has declared, such as a reply to somebody who has gone, waits so long for it.
UNDECLARED_TTL = timedelta(days=1)

_AT_ONCE = timedelta(0)

#: What a consumer does not understand waits so long for one that does.
_FOR_OTHERS = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Receiver:
    """One consumer, as AMQP knows it."""

    tag: str
    callback: Callable[[Any], object]
    no_ack: bool


class Channel(DeclaringChannel):
    """One channel; its statements run on the transport's connection, or inside `publishing_in` on the caller's."""

    QoS = QoS
    supports_fanout = True
    body_encoding = "utf-8"
    from_transport_options = (
        *DeclaringChannel.from_transport_options,
        *("label_headers", "lease_seconds", "on_claim", "on_dead", "loss_limit", "requeue_limit", "kept_exchanges"),
        "message_schema",
    )
    label_headers: tuple[str, str] = ("function_id", "execution_id")
    lease_seconds: float = 15
    on_claim: Mapping[str, str] = {}
    on_dead: Sequence[str] = ()
    loss_limit: int = LOSS_LIMIT
    requeue_limit: int = REQUEUE_LIMIT
    message_schema: int | None = None

    def __init__(self, connection: Carrier, **kwargs: Any) -> None:
        super().__init__(connection, **kwargs)
        self._receivers: dict[str, deque[Receiver]] = {}
        self._unsaid = connection.unsaid

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
        function_id, execution_id = (_uuid(headers.get(name)) for name in self.label_headers)
        place = Place(self._get_message_priority(message), headers.get("lane") and str(headers["lane"]))
        parameters = addressed_to(queue, place) | {
            "delay": _delay(headers.get("eta")),
            "ttl": _ttl(message),
            "undeclared_ttl": UNDECLARED_TTL,
            "function_id": function_id,
            "execution_id": execution_id,
            "payload": stored(message),
        }
        self._write(publishing_statements.PUBLISH, parameters)

    def _write(self, statement: str, parameters: dict[str, Any]) -> None:
        caller = current_connection()
        if caller is not None:
            execute(caller, statement, parameters)
        else:
            self.link.execute(statement, parameters)

    def encode_body(self, body: Any, encoding: str | None = None) -> tuple[Any, str]:
        """Text is stored as it is, so that people can read it; bytes in base64."""
        encoding = "base64" if isinstance(body, bytes) else encoding or self.body_encoding
        encoded, used = super().encode_body(body, encoding)
        return encoded, used

    def _put_fanout(self, exchange: str, message: dict[str, Any], routing_key: str, **_kwargs: Any) -> None:
        parameters = {
            "exchange": exchange,
            "priority": self._get_message_priority(message),
            "delay": _delay((message.get("headers") or {}).get("eta")),
            "ttl": _ttl(message),
            "payload": stored(message),
        }
        self._write(publishing_statements.PUBLISH_FANOUT, parameters)

    # Consuming

    @property
    def active_queues(self) -> Sequence[str]:
        """The queues that this channel consumes."""
        return list(self._receivers)

    def free_capacity(self, queue: str) -> int:
        """How many more messages of the queue its consumers here may hold."""
        if self.connection is None or queue not in self._receivers:
            return 0
        limits = [self.qos.free_capacity(), self.connection.free_capacity()]
        return min((limit for limit in limits if limit is not None), default=UNLIMITED_CLAIM)

    def acknowledges(self, queue: str) -> bool:
        """Whether what it gets from the queue is leased; otherwise it is gone when it is claimed."""
        return not all(receiver.no_ack for receiver in self._receivers[queue])

    def claim(
        self,
        queue: str,
        limit: int,
        *,
        leased: bool = True,
        cursor: Cursor | None = None,
        acknowledged: Sequence[Delivery] = (),
    ) -> list[dict[str, Any]]:
        """Lease at most `limit` messages of `queue`, and delete what was `acknowledged` in the same statement.

        What is not `leased` is deleted at once, for those who never acknowledge. What cannot be a message is set aside.
        """
        if self.connection is not None and self.connection.follows(queue):
            return list(_happened(queue, self.connection.unread(queue)))
        cursor = cursor or Cursor()
        messages: list[dict[str, Any]] = []
        missing = limit
        while missing:
            claimed = self._claim(queue, missing, leased=leased, cursor=cursor, acknowledged=acknowledged)
            understood = [raw for delivery, text in claimed if (raw := self._understand(delivery, text, leased=leased))]
            messages += understood
            # What was not understood makes room for what waits behind it.
            missing, acknowledged = len(claimed) - len(understood), ()
        if leased and messages and self.connection is not None:
            self.connection.holding()
        return messages

    def _claim(
        self, queue: str, limit: int, *, leased: bool, cursor: Cursor, acknowledged: Sequence[Delivery]
    ) -> list[tuple[Delivery, str]]:
        parameters: dict[str, Any] = {"queue": queue, "limit": limit} | cursor.parameters()
        if leased:
            statement = self._claim_statement(queue, acknowledging=bool(acknowledged))
            parameters |= {"holder": self._holder, "lease": self.lease}
            parameters |= {f"acked_{name}": values for name, values in held(acknowledged).items()}
        else:
            statement = statements.TAKE
        claimed = []
        for message_id, priority, rank, token, deliveries, losses, text, carried in self.link.execute(
            statement, parameters
        ):
            cursor.passed(priority, rank)
            claimed.append((Delivery(message_id, token, deliveries, losses, carried, self._holder), text))
        return claimed

    def _understand(self, delivery: Delivery, text: str, *, leased: bool) -> dict[str, Any] | None:
        """kombu's raw message; none where it was set aside, or left to others who may understand it."""
        payload = read(text)
        if payload is None:
            self._refuse(delivery, None)
        elif leased and self.message_schema is not None and schema(payload) > self.message_schema:
            self.release([delivery], losses=0, requeues=1, delay=_FOR_OTHERS)
        else:
            return _received(delivery, payload)
        return None

    @property
    def _holder(self) -> str:
        return self.connection.holder if self.connection is not None else ""

    def _claim_statement(self, queue: str, *, acknowledging: bool) -> str:
        hook = self.on_claim.get(queue)
        return statements.CLAIM.format(
            acknowledging=statements.ACKNOWLEDGING if acknowledging else "",
            durability="" if acknowledging else statements.FORGETTABLE,
            on_claim=statements.CLAIM_CARRYING.format(hook=hook) if hook else statements.CLAIM_PLAIN,
        )

    def basic_consume(self, queue: str, no_ack: bool, callback: Any, consumer_tag: str, **_kwargs: Any) -> None:
        """Consume from `queue`, hearing its notifications from now on. What a log gives needs no acknowledgement."""
        if self.connection is None:
            raise Link.closed()
        receiver = Receiver(consumer_tag, callback, no_ack or self.connection.follows(queue))
        self._receivers.setdefault(queue, deque()).append(receiver)
        self._tag_to_queue[consumer_tag] = queue
        self._consumers.add(consumer_tag)
        self.connection.consuming(queue)

    def basic_cancel(self, consumer_tag: str) -> None:
        """Stop consuming; tolerates a connection that is already gone. What the consumer holds stays with it."""
        queue = self._tag_to_queue.pop(consumer_tag, None)
        if self.connection is None or queue is None:
            return
        self._consumers.discard(consumer_tag)
        left = deque(receiver for receiver in self._receivers.pop(queue, ()) if receiver.tag != consumer_tag)
        if left:
            self._receivers[queue] = left
        ahead = self.connection.not_consuming(queue, None if left else self)
        if ahead:
            self.release(ahead, losses=0, requeues=0)
        if queue in self._automatic:
            topology.delete_automatic_queue(self.link, queue)

    def deliver(self, queue: str, raw: dict[str, Any]) -> None:
        """Hand a claimed message to a consumer of the queue; several on this channel take turns."""
        receivers = self._receivers[queue]
        receiver = receivers[0]
        receivers.rotate(-1)
        raw["properties"]["delivery_info"]["consumer_tag"] = receiver.tag
        message = self._message(raw)
        if message is None:
            return
        if not receiver.no_ack:
            self.qos.append(message, message.delivery_tag)
        elif self.acknowledges(queue):  # It was leased for the sake of another consumer here.
            self.acknowledge(Delivery.of(message.properties))
        receiver.callback(message)

    def basic_get(self, queue: str, no_ack: bool = False, **_kwargs: Any) -> Any:
        """The next message, or none."""
        while claimed := self.claim(queue, 1, leased=not no_ack):
            message = self._message(claimed[0])
            if message is not None:
                if not no_ack:
                    self.qos.append(message, message.delivery_tag)
                return message
        return None

    def _message(self, raw: dict[str, Any]) -> Any:
        """kombu's message; none where kombu cannot make one of it, which sets it aside."""
        try:
            return self.Message(raw, channel=self)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the message's fault
            self._refuse(Delivery.of(raw["properties"]), error)
            return None

    def _refuse(self, delivery: Delivery, error: Exception | None) -> None:
        """Set aside what is no message. What was taken without a lease has gone already."""
        log.error("message.refused", exc_info=error, extra={"message_id": delivery.message_id})
        self.bury(delivery, reason="undecodable")

    def basic_qos(self, prefetch_size: int = 0, prefetch_count: int = 0, apply_global: bool = False) -> None:
        """Bound how many messages this channel holds, or all channels of its connection together, as AMQP's
        specification has it. Sizes are not looked at.
        """
        if apply_global and self.connection is not None:
            self.connection.prefetch_count = prefetch_count
        else:
            self.qos.prefetch_count = prefetch_count

    def acknowledge(self, delivery: Delivery) -> None:
        """Delete the message if its token still holds, now or with the next claim; after a lost connection, over the
        next one.
        """
        if self.connection is not None:
            self.connection.acknowledge(delivery)
        else:
            self._unsaid.finished[delivery.tag] = delivery

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
        dying.move(self.link, statements.RELEASE, self.on_dead, deliveries, counted | limits)
        self.connection.want(*self._receivers)

    def bury(self, delivery: Delivery, *, reason: str) -> None:
        """Set a message aside, with every byte."""
        if self.connection is not None:
            dying.move(self.link, statements.BURY, self.on_dead, [delivery], {"reason": reason})

    def forget(self) -> None:
        """In a child of a fork: its parent's consumers go on in the parent, and what they hold is theirs."""
        for those in (self._receivers, self._tag_to_queue, self._consumers, self._automatic):
            those.clear()
        self.qos.forget()

    def capacity_freed(self) -> None:
        """Something left the consumer's hands; after a lost connection there is nobody to tell."""
        if self.connection is not None:
            self.connection.capacity_freed()


def _uuid(label: object) -> UUID | None:
    """A label that can be kept in a column of its own; those of others, who call theirs the same, are not."""
    try:
        return UUID(str(label))
    except ValueError:
        return None


def _delay(eta: object) -> timedelta:
    """How long a task of Celery's with an `eta` waits in the database. Both ends are the publisher's clock, so that a
    countdown is right whatever the clocks of others say.
    """
    moment = _moment(eta)
    return _AT_ONCE if moment is None else max(moment - datetime.now(UTC), _AT_ONCE)


def _moment(eta: object) -> datetime | None:
    """A time as Celery writes it; others may mean something else by that header."""
    try:
        moment = datetime.fromisoformat(eta) if isinstance(eta, str) else None
    except ValueError:
        return None
    return moment and moment.replace(tzinfo=moment.tzinfo or UTC)


def _ttl(message: Mapping[str, Any]) -> timedelta | None:
    """AMQP's property `expiration`: milliseconds, as text."""
    expiration = message["properties"].get("expiration")
    return None if expiration is None else timedelta(milliseconds=float(expiration))


def _received(delivery: Delivery, payload: dict[str, Any]) -> dict[str, Any]:
    """kombu's raw message with our delivery in its properties, which Celery hands on to the task.

    A message that was delayed here has waited long enough: with its `eta` the worker would hold it by its own clock.
    """
    if _moment((payload.get("headers") or {}).get("eta")):
        payload["headers"]["eta"] = None
    payload["properties"]["delivery_info"]["redelivered"] = delivery.deliveries > 1
    payload["properties"] |= {
        "delivery_tag": delivery.tag,
        "delivery": {
            "message_id": delivery.message_id,
            "token": delivery.token,
            "deliveries": delivery.deliveries,
            "losses": delivery.losses,
            "carried": delivery.carried,
            "holder": delivery.holder,
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
