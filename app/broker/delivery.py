"""What a task knows of the message that it works on, and how it settles, keeps, gives back or sets aside that message.

The functions run in the caller's transaction on the caller's connection.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Self

import psycopg

from app.broker import statements

#: Property of a message whose task settles it: the consumer's acknowledgement then sends nothing, and a message that
#: was neither settled nor given back returns when its lease runs out. Whatever a worker believes, only a committed
#: settle ends such a message.
SETTLED_BY_TASK: Final = "settled_by_task"

#: A message whose holders died so often is set aside: what kills its worker three times would kill the fourth.
LOSS_LIMIT: Final = 3

#: A message that its consumers gave back so often is set aside, as RabbitMQ's quorum queues do.
REQUEUE_LIMIT: Final = 20


class LeaseLost(Exception):
    """The message is no longer held with this token: the result belongs to a superseded attempt and is refused."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One lease on one message."""

    message_id: int
    token: int
    """With the id it holds the lease; every delivery has another."""
    deliveries: int
    """How often the message has been delivered, this time included."""
    losses: int
    """How many holders died with it before."""
    carried: Any = None
    """What the claim brought along (the transport's ``on_claim``)."""
    holder: str = ""
    """In whose name it is held: the worker's, also in its children."""

    @classmethod
    def of(cls, properties: Mapping[str, Any]) -> Self:
        """The delivery in a received message's properties (`task.request.properties`)."""
        return cls(**properties["delivery"])

    @property
    def tag(self) -> str:
        """kombu's delivery tag: unlike the bare id it differs between two deliveries of one message."""
        return f"{self.message_id}.{self.token}"


def held(deliveries: Sequence[Delivery]) -> dict[str, list[int]]:
    """The parameters by which statements guard themselves with lease tokens, in the order in which leased rows are
    locked, so that no two statements wait for each other.
    """
    in_order = sorted(deliveries, key=lambda delivery: delivery.message_id)
    return {
        "ids": [delivery.message_id for delivery in in_order],
        "tokens": [delivery.token for delivery in in_order],
    }


def settle(connection: "psycopg.Connection[Any]", delivery: Delivery) -> None:
    """Delete the message as part of the caller's transaction; raises `LeaseLost` when the token no longer holds it, so
    that nothing commits.
    """
    if not connection.execute(statements.SETTLE, {"message_id": delivery.message_id, "token": delivery.token}).rowcount:
        raise LeaseLost(delivery.tag)


def renew(connection: "psycopg.Connection[Any]", delivery: Delivery, *, lease_seconds: float) -> None:
    """Hold the message for another `lease_seconds`; raises `LeaseLost` when it is no longer held."""
    parameters = held([delivery]) | {"lease": timedelta(seconds=lease_seconds)}
    if not connection.execute(statements.RENEW, parameters).rowcount:
        raise LeaseLost(delivery.tag)


def release(connection: "psycopg.Connection[Any]", delivery: Delivery, *, delay_seconds: float = 0) -> None:
    """Give the message back for another attempt after `delay_seconds`; nothing is counted against it. A lost lease is
    left alone.
    """
    parameters = held([delivery]) | {
        "delay": timedelta(seconds=delay_seconds),
        "losses": 0,
        "requeues": 0,
        "loss_limit": LOSS_LIMIT,
        "requeue_limit": REQUEUE_LIMIT,
    }
    connection.execute(statements.with_hooks(statements.RELEASE, ()), parameters)


def bury(connection: "psycopg.Connection[Any]", delivery: Delivery, *, reason: str) -> None:
    """Set the message aside for a person to look at, for a `reason` of one word. A lost lease is left alone."""
    connection.execute(statements.with_hooks(statements.BURY, ()), held([delivery]) | {"reason": reason})
