"""The part of a channel that declares, binds, measures and deletes. All of it is in the database, so that every process
sees the same.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from amqp.exceptions import NotFound, PreconditionFailed
from amqp.protocol import queue_declare_ok_t
from kombu.transport import virtual
from kombu.transport.base import to_rabbitmq_queue_arguments
from kombu.transport.virtual.exchange import ExchangeType, TopicExchange
from kombu.utils.uuid import uuid

from app.broker import topology
from app.broker.carrier import Carrier
from app.broker.link import Link


class Topic(TopicExchange):  # type: ignore[misc]
    """kombu's topic exchange, where `#` stands for any number of words as in AMQP, none included."""

    def key_to_pattern(self, rkey: str) -> str:
        """The regular expression of a binding's key; PostgreSQL reads it too."""
        pattern, is_begun = "", False
        words = rkey.split(".")
        for place, word in enumerate(words):
            if word == "#" and not is_begun:
                pattern += r".*" if place == len(words) - 1 else r"(?:[^.]*\.)*"
            elif word == "#":
                pattern += r"(?:\.[^.]*)*"
            else:
                pattern += r"\." * is_begun + ("[^.]+" if word == "*" else re.escape(word))
                is_begun = True
        return f"^{pattern}$"


class DeclaringChannel(virtual.Channel):  # type: ignore[misc]
    """kombu's virtual channel without its memory of what was declared: others may have deleted it since."""

    exchange_types = {**virtual.Channel.exchange_types, "topic": Topic}  # noqa: RUF012 - kombu declares it so
    kept_exchanges: Sequence[str] = ("celeryev",)
    connection: Carrier | None

    def __init__(self, connection: Carrier, **kwargs: Any) -> None:
        super().__init__(connection, **kwargs)
        self._automatic: set[str] = set()

    @property
    def link(self) -> Link:
        """The transport's connection; raises psycopg's InterfaceError after the channel was closed."""
        if self.connection is None:
            raise Link.closed()
        return self.connection.link

    # Queues

    def prepare_queue_arguments(self, arguments: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """What a queue of kombu's asks for by name, as AMQP's arguments."""
        prepared: dict[str, Any] = to_rabbitmq_queue_arguments(arguments, **kwargs)
        return prepared

    def queue_declare(self, queue: str | None = None, passive: bool = False, **kwargs: Any) -> queue_declare_ok_t:
        """Make a queue or renew what is known of it; answers its name, how many messages are ready in it and how many
        connections consume from it. The passive changes nothing and raises `NotFound` where there is none.
        """
        queue = queue or f"amq.gen-{uuid()}"
        if not passive:
            self._new_queue(queue, **kwargs)
        counts = topology.measure(self.link, queue)
        if counts is None:
            raise _no("queue", queue)
        return queue_declare_ok_t(queue, *counts)

    def _new_queue(
        self, queue: str, *, auto_delete: bool = False, arguments: Mapping[str, Any] | None = None, **_kwargs: Any
    ) -> None:
        if auto_delete:
            self._automatic.add(queue)
        topology.declare_queue(self.link, queue, auto_delete=auto_delete, arguments=arguments or {})

    def queue_delete(self, queue: str, if_unused: bool = False, if_empty: bool = False, **_kwargs: Any) -> None:
        """Delete a queue with its bindings and messages, unless it is in use or has something in it where asked so."""
        if (if_empty and self._size(queue)) or (if_unused and topology.has_consumers(self.link, queue)):
            return
        topology.delete_queue(self.link, queue)

    def _purge(self, queue: str) -> int:
        return topology.purge(self.link, queue)

    def _size(self, queue: str) -> int:
        return topology.size(self.link, queue)

    # Exchanges and bindings

    def exchange_declare(
        self,
        exchange: str | None = None,
        type: str = "direct",  # noqa: A002 - kombu calls it so
        passive: bool = False,
        **_kwargs: Any,
    ) -> None:
        """Make an exchange; raises `PreconditionFailed` where there is one of another type. The passive makes none and
        raises `NotFound`.
        """
        exchange = exchange or f"amq.{type}"
        if passive:
            self.typeof(exchange)
            return
        if type not in self.exchange_types:
            raise PreconditionFailed(f"there are no exchanges of type {type!r}", (40, 10), "Channel.exchange_declare")
        before = topology.declare_exchange(self.link, exchange, type)
        self.state.exchanges[exchange] = {"type": before}
        if before != type:
            raise PreconditionFailed(f"exchange {exchange!r} is {before}", (40, 10), "Channel.exchange_declare")

    def exchange_delete(self, exchange: str, if_unused: bool = False, nowait: bool = False) -> None:
        """Delete an exchange with its bindings, unless it has some where asked so."""
        if not (if_unused and self.get_table(exchange)):
            topology.delete_exchange(self.link, exchange)
            self.state.exchanges.pop(exchange, None)

    def typeof(self, exchange: str, default: str = "direct") -> ExchangeType:
        """The type of an exchange, whichever process declared it; raises `NotFound`."""
        known = self.state.exchanges.get(exchange)
        if known is None:
            found = topology.exchange_type(self.link, exchange)
            if found is None:
                raise _no("exchange", exchange)
            known = self.state.exchanges[exchange] = {"type": found}
        return self.exchange_types[known["type"]]

    def queue_bind(
        self,
        queue: str,
        exchange: str | None = None,
        routing_key: str = "",
        arguments: Mapping[str, Any] | None = None,
        **_kwargs: Any,
    ) -> None:
        """Let what is published to the exchange reach the queue; raises `NotFound` where either is missing."""
        exchange = exchange or "amq.direct"
        key, pattern, _ = self.typeof(exchange).prepare_bind(queue, exchange, routing_key or "", arguments)
        if exchange in self.kept_exchanges and self.connection is not None:
            self.connection.follow(queue, exchange, pattern or "")
        if not topology.bind(self.link, exchange, key, pattern or "", queue):
            raise _no("queue", queue)

    def queue_unbind(
        self,
        queue: str,
        exchange: str | None = None,
        routing_key: str = "",
        arguments: Mapping[str, Any] | None = None,
        **_kwargs: Any,
    ) -> None:
        """End a binding."""
        topology.unbind(self.link, exchange or "amq.direct", routing_key or "", queue)

    def get_table(self, exchange: str) -> list[tuple[str, str, str]]:
        """The bindings of an exchange, shared by every process."""
        return topology.bindings(self.link, exchange)

    def list_bindings(self) -> list[tuple[str, str, str]]:
        """(queue, exchange, routing key) of every binding, for kombu's manager."""
        return topology.all_bindings(self.link)

    def get_exchanges(self) -> list[str]:
        """The names of all exchanges."""
        return topology.exchanges(self.link)


def _no(kind: str, name: str) -> NotFound:
    return NotFound(f"NOT_FOUND - no {kind} {name!r}", (50, 10), f"Channel.{kind}_declare")
