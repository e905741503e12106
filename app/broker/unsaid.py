"""What a process has to say of its leases and could not, because a connection was lost meanwhile. A token holds on any
connection to the database, so the next one says it.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from app.broker.delivery import Delivery


@dataclass(frozen=True, slots=True)
class Unsaid:
    """Deliveries by their tags. Any thread may add some, and take away what was said."""

    finished: dict[str, Delivery] = field(default_factory=dict)
    """Messages to be deleted: their work is done."""
    unbegun: dict[str, Delivery] = field(default_factory=dict)
    """Messages to be given back: they were claimed for consumers that are no more."""

    def clear(self) -> None:
        """Have nothing to say."""
        self.finished.clear()
        self.unbegun.clear()


_by_address: defaultdict[str, Unsaid] = defaultdict(Unsaid)


def unsaid_at(address: str) -> Unsaid:
    """What this process has to say to the database at an address."""
    return _by_address[address]


def forget_everything() -> None:
    """In a child of a fork: its parent will say it."""
    for unsaid in _by_address.values():
        unsaid.clear()


def forget(said: Iterable[Delivery], unsaid: dict[str, Delivery]) -> None:
    """The database knows these. Until it does they are said again and again."""
    for delivery in said:
        unsaid.pop(delivery.tag, None)
