"""What a task knows of the message that it works on, and how it settles or gives back that message in its own
transaction.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self

import psycopg

from app.broker import statements

#: Property of a message whose task settles it: the consumer's acknowledgement then sends nothing, and a message that
#: was neither settled nor
#: given back returns when its lease runs out. Whatever a worker believes, only a committed settle ends such a message.
SETTLED_BY_TASK = "settled_by_task"


class LeaseLost(Exception):
    """The message is no longer held with this token: the result belongs to a superseded attempt and is refused."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One lease on one message."""

    message_id: int
    token: int
    """How often the message has been delivered; with the id, the lease token."""
    losses: int
    """How many holders died with it before."""
    carried: Any = None
    """What the claim brought along (the transport's ``on_claim``)."""

    @classmethod
    def of(cls, properties: Mapping[str, Any]) -> Self:
        """The delivery in a received message's properties (`task.request.properties`)."""
        return cls(**properties["delivery"])

    @property
    def tag(self) -> str:
        """kombu's delivery tag: unlike the bare id it differs between two deliveries of one message."""
        return f"{self.message_id}.{self.token}"


def settle(connection: "psycopg.Connection[Any]", delivery: Delivery) -> None:
    """Delete the message as part of the caller's transaction; raises `LeaseLost` when the token no longer holds it, so
    that nothing commits.
    """
    if not connection.execute(statements.SETTLE, {"message_id": delivery.message_id, "token": delivery.token}).rowcount:
        raise LeaseLost(delivery.tag)


def release(
    connection: "psycopg.Connection[Any]", delivery: Delivery, *, delay_seconds: float = 0, lost: bool = False
) -> None:
    """Give the message back for another attempt after `delay_seconds`; `lost` counts it against the message. A lost
    lease is left alone.
    """
    connection.execute(
        statements.RELEASE,
        {
            "ids": [delivery.message_id],
            "tokens": [delivery.token],
            "delay": timedelta(seconds=delay_seconds),
            "losses": int(lost),
        },
    )
