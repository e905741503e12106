"""A kombu transport on PostgreSQL: the database is the broker, and a row and its message commit together.

Features
    * direct, topic and fanout exchanges, with bindings in the database
    * priorities 0 to 9 (9 is claimed first), first in first out within one
    * leases: a claimed message belongs to its consumer until it is acknowledged or the lease runs out; leases are
    renewed by heartbeat
    * publishing inside the caller's transaction (`publishing_in`) and settling inside the worker's (`settle`)
    * event-loop capable: one LISTEN connection per process wakes it, polling is the floor beneath

URL
    ``postgresql://user:password@host:port/database?option=value``, as libpq has it.

Transport options
    ``lease_seconds`` (15)
        how long a silent consumer keeps what it claimed; renewed every third of it
    ``polling_interval`` (1.0)
        seconds between two looks at the queues when no notification comes
    ``consumer_name`` (host:pid)
        who holds the leases, as operators read it
    ``label_headers`` (``function_id``, ``execution_id``)
        message headers that are also kept as columns
    ``on_claim`` ({})
        queue name to SQL that runs inside the claim: it reads ``claimed`` (columns of `broker.messages`) and returns
        ``message_id`` and ``carried`` (json); what it carried reaches the task in `Delivery.carried`

The tables come from the migrations; connecting creates nothing.
"""

from kombu.transport import TRANSPORT_ALIASES

from app.broker.delivery import Delivery, LeaseLost, release, settle
from app.broker.publishing import Waker, publishing_in

__all__ = ["Delivery", "LeaseLost", "Waker", "publishing_in", "register_transport", "release", "settle"]


def register_transport() -> None:
    """Teach kombu that a ``postgresql://`` URL means this transport."""
    TRANSPORT_ALIASES["postgresql"] = "app.broker.transport:Transport"
