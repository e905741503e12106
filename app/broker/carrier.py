"""What a channel needs of its transport."""

from typing import Protocol

from app.broker.delivery import Delivery
from app.broker.events import Event
from app.broker.link import Link
from app.broker.pump import Consuming
from app.broker.unsaid import Unsaid


class Carrier(Protocol):
    """The connection, and everybody else who uses it."""

    link: Link
    holder: str
    """In whose name its messages are leased."""
    prefetch_count: int
    """How many messages its channels may hold together; 0 without a limit."""

    unsaid: Unsaid
    """What is left to say of messages when it is lost."""

    def consuming(self, queue: str) -> None:
        """A consumer begins with `queue`."""

    def not_consuming(self, queue: str, channel: Consuming | None) -> list[Delivery]:
        """A consumer ends with `queue`; if it was the last of a `channel`, answers what was claimed ahead for that."""

    def free_capacity(self) -> int | None:
        """How many more messages its channels may hold together; none without a limit."""

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

    def holding(self) -> None:
        """Something has been leased."""

    def capacity_freed(self) -> None:
        """A consumer may take more."""

    def want(self, *queues: str) -> None:
        """There may be something ready in these queues."""
