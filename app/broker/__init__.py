"""A kombu transport on PostgreSQL: the database is the broker, and a row and its message commit together.

Features
    * direct, topic and fanout exchanges, with bindings in the database
    * priorities 0 to 9 (9 is claimed first), first in first out within one
    * lanes: messages with a header ``lane`` take turns with those of other lanes, however many each lane has
    * leases: a claimed message belongs to its consumer until it is acknowledged or the lease runs out; a thread renews
      them for as long as the process lives, also while the consumer is busy or blocked
    * queues that end by themselves last as long as the connections of their consumers, which may sleep or stand still
    * what could not be acknowledged, because a statement failed or a connection was lost, is acknowledged as soon as it
      can be, also over another connection: while its lease lasts nothing that is done is done again
    * a task's `eta` or `countdown` waits in the database, never in a worker
    * time to live for messages (`expiration`, ``x-message-ttl``) and queues (``x-expires``, `auto_delete`)
    * what took three workers down, or was given back twenty times, or was rejected, is set aside with its reason
    * what is sent to a queue that nobody has declared waits a day for it
    * publishing inside the caller's transaction (`publishing_in`) and settling inside the worker's (`settle`)
    * event-loop capable: one LISTEN connection per process wakes it, a beat once a second is the floor beneath;
      a publisher notifies only where a consumer sleeps
    * prefetch limits for each channel, or for a connection (`global`)
    * threads share a connection; the child of a fork gets one of its own and leaves its parent's alone
    * errors: a server that is away, stops, refuses the password, ends the connection or does not answer is one of
      `connection_errors`, which kombu recovers from; a statement that it refuses is one of `channel_errors`, among them
      AMQP's `NotFound` and `PreconditionFailed`, and `NotMigrated` where the tables are missing
    * `heartbeat`: a server that stands still is found out within one and a half of it; without it, when a statement has
      been without an answer for 35 seconds

URL
    ``postgresql://user:password@host:port/database?option=value``, as libpq has it, several hosts too. kombu's `ssl` is
    true or libpq's own parameters. In a list of URLs those after the first may have no options, and a socket's
    directory stands, percent-encoded, in place of the host.

Transport options
    ``lease_seconds`` (15)
        how long a silent consumer keeps what it claimed; renewed every third of it
    ``polling_interval`` (1.0)
        seconds between two beats, which find what no notification told of; twice as long for a worker that has had
        nothing to do for half a minute
    ``read_ahead`` (32)
        how many messages beyond its prefetch limit a consumer may take along while it is quick with them
    ``loss_limit`` (3), ``requeue_limit`` (20)
        how many holders may die with a message, and how often it may be given back, before it is set aside
    ``consumer_name`` (its host, process and some digits)
        what operators call who consumes and holds; two may be called the same
    ``message_schema`` (none)
        the newest value of the header ``schema`` that this consumer understands; a newer message is given back for
        others, for five seconds at a time, and set aside when none of them came
    ``label_headers`` (``function_id``, ``execution_id``)
        message headers that are also kept as columns
    ``on_claim`` ({})
        queue name to SQL that runs inside the claim: it reads ``claimed`` (columns of `broker.messages`) and returns
        ``message_id`` and ``carried`` (json); what it carried reaches the task in `Delivery.carried`
    ``kept_exchanges`` (``celeryev``)
        exchanges that are a log: what is published to them is kept once in `broker.events`, as JSON
    ``on_dead`` (())
        SQL statements that run in the transaction that sets messages aside; each reads ``buried`` (the same columns).
        A message with which one fails dies without it, and the log says ``message.hook_failed``
    ``drain_seconds`` ({})
        queue name to how long a worker that was told to stop works on (30); then its children are killed, and what they
        hold goes back at once and uncounted
    ``on_released`` (())
        SQL statements that run in the transaction of that; each reads ``released`` (columns of `broker.messages`)
    ``on_expired`` (())
        SQL statements that run in the transaction that removes messages whose time is over; each reads ``expired``
        (``execution_id``), and none may fail

The tables come from the migrations; connecting creates nothing.

A message may hold any text, also a NUL or half of a surrogate pair; PostgreSQL keeps them and fails to show them, with
all that stands beside. Statements read `payload` through ``broker.readable(payload)``, which replaces them.
"""

from kombu.transport import TRANSPORT_ALIASES

from app.broker.delivery import Delivery, LeaseLost, bury, release, renew, settle
from app.broker.keeping import Keeper, Kept
from app.broker.lanes import Bounds, Place
from app.broker.link import NotMigrated
from app.broker.publishing import addressed_to, publishing_in

__all__ = [
    "Bounds",
    "Delivery",
    "Keeper",
    "Kept",
    "LeaseLost",
    "NotMigrated",
    "Place",
    "addressed_to",
    "bury",
    "publishing_in",
    "register_transport",
    "release",
    "renew",
    "settle",
]


def register_transport() -> None:
    """Teach kombu that a ``postgresql://`` URL means this transport, and ``postgres://`` as well."""
    for scheme in ("postgresql", "postgres"):
        TRANSPORT_ALIASES[scheme] = "app.broker.transport:Transport"
