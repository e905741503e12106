"""Queues and the exchanges' bindings, as every process sees them."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from app.broker.link import Link
from app.broker.statements import OF_QUEUE

DECLARE_QUEUE = """
INSERT INTO broker.queues (name, message_ttl, expires, auto_delete)
VALUES (%(queue)s, %(message_ttl)s, %(expires)s, %(auto_delete)s)
ON CONFLICT (name) DO UPDATE
SET used_at = now(), message_ttl = excluded.message_ttl, expires = excluded.expires, auto_delete = excluded.auto_delete
"""
_ALL = OF_QUEUE.format(queue="%(queue)s")
#: What waits goes first, for which no claim waits; then what is leased, in the order in which its holders lock it.
DELETE_QUEUE = """
WITH unbound AS (DELETE FROM broker.bindings WHERE queue = %(queue)s), emptied AS (
    DELETE FROM broker.messages WHERE id IN (
        SELECT id FROM broker.messages WHERE queue = %(queue)s AND state = 'ready'
        UNION ALL SELECT id FROM broker.messages WHERE queue = %(queue)s AND state = 'delayed'
    )
    RETURNING true
), taken_away AS (
    DELETE FROM broker.messages WHERE id IN (
        SELECT message.id FROM (SELECT count(*) FROM emptied) AS before, broker.messages AS message
        WHERE id IN (SELECT id FROM broker.messages WHERE queue = %(queue)s AND state = 'leased')
        ORDER BY message.id
        FOR UPDATE OF message
    )
)
DELETE FROM broker.queues WHERE name = %(queue)s
"""
DELETE_AUTOMATIC_QUEUE = f"""
WITH ended AS (
    DELETE FROM broker.queues
    WHERE name = %(queue)s AND auto_delete AND NOT EXISTS (
        SELECT FROM broker.present_consumers WHERE %(queue)s = ANY (queues)
    )
    RETURNING name
), unbound AS (DELETE FROM broker.bindings USING ended WHERE queue = ended.name)
DELETE FROM broker.messages
WHERE id IN (SELECT found.id FROM ended CROSS JOIN LATERAL ({_ALL}) AS found)
"""
#: Counted from one index and, where some have expired, corrected from another: neither reads the messages.
SIZE = """
SELECT (SELECT count(*) FROM broker.messages WHERE queue = %(queue)s AND state = 'ready')
     - (SELECT count(*) FROM broker.messages WHERE queue = %(queue)s AND state = 'ready' AND expires_at <= now())
"""
MEASURE = f"""
SELECT ({SIZE}),
       (SELECT count(*) FROM broker.present_consumers WHERE %(queue)s = ANY (queues))
FROM broker.queues WHERE name = %(queue)s
"""
HAS_CONSUMERS = "SELECT FROM broker.present_consumers WHERE %(queue)s = ANY (queues) LIMIT 1"
PURGE_QUEUE = f"DELETE FROM broker.messages WHERE id IN ({_ALL}) AND state <> 'leased'"
DECLARE_EXCHANGE = """
INSERT INTO broker.exchanges (name, type) VALUES (%(exchange)s, %(type)s) ON CONFLICT DO NOTHING
"""
EXCHANGE_TYPE = "SELECT type FROM broker.exchanges WHERE name = %(exchange)s"
EXCHANGES = "SELECT name FROM broker.exchanges ORDER BY name"
DELETE_EXCHANGE = """
WITH unbound AS (DELETE FROM broker.bindings WHERE exchange = %(exchange)s)
DELETE FROM broker.exchanges WHERE name = %(exchange)s
"""
BIND = """
INSERT INTO broker.bindings (exchange, routing_key, pattern, queue)
SELECT %(exchange)s, %(routing_key)s, %(pattern)s, name FROM broker.queues WHERE name = %(queue)s
ON CONFLICT (exchange, routing_key, queue) DO UPDATE SET pattern = excluded.pattern
"""
UNBIND = """
DELETE FROM broker.bindings
WHERE exchange = %(exchange)s AND routing_key = %(routing_key)s AND queue = %(queue)s
"""
BINDINGS = "SELECT routing_key, pattern, queue FROM broker.bindings WHERE exchange = %(exchange)s"
ALL_BINDINGS = "SELECT queue, exchange, routing_key FROM broker.bindings ORDER BY exchange, queue, routing_key"


def declare_queue(link: Link, queue: str, *, auto_delete: bool, arguments: Mapping[str, Any]) -> None:
    """Make a queue or renew what is known of it. AMQP's arguments ``x-message-ttl`` and ``x-expires`` are in
    milliseconds.
    """
    link.execute(
        DECLARE_QUEUE,
        {
            "queue": queue,
            "auto_delete": auto_delete,
            "message_ttl": _milliseconds(arguments.get("x-message-ttl")),
            "expires": _milliseconds(arguments.get("x-expires")),
        },
    )


def delete_queue(link: Link, queue: str) -> None:
    """Delete a queue with its bindings and messages; what is dead in it stays for people."""
    link.execute(DELETE_QUEUE, {"queue": queue})


def delete_automatic_queue(link: Link, queue: str) -> None:
    """Delete the queue if it is to end with its last consumer, and there is none any more."""
    link.execute(DELETE_AUTOMATIC_QUEUE, {"queue": queue})


def measure(link: Link, queue: str) -> tuple[int, int] | None:
    """How many messages are ready and how many connections consume; none where the queue was not declared."""
    row: tuple[int, int] | None = link.execute(MEASURE, {"queue": queue}).fetchone()
    return row


def has_consumers(link: Link, queue: str) -> bool:
    """Whether anybody consumes from the queue."""
    return link.execute(HAS_CONSUMERS, {"queue": queue}).rowcount == 1


def purge(link: Link, queue: str) -> int:
    """Delete what waits in a queue; answers how many messages. What is leased stays with its holder."""
    return int(link.execute(PURGE_QUEUE, {"queue": queue}).rowcount)


def size(link: Link, queue: str) -> int:
    """How many messages are ready."""
    row = link.execute(SIZE, {"queue": queue}).fetchone()
    return int(row[0]) if row else 0


def declare_exchange(link: Link, exchange: str, kind: str) -> str:
    """Make an exchange unless it is there; answers its type."""
    link.execute(DECLARE_EXCHANGE, {"exchange": exchange, "type": kind})
    return exchange_type(link, exchange) or kind


def exchange_type(link: Link, exchange: str) -> str | None:
    """The type of an exchange, if there is one."""
    row = link.execute(EXCHANGE_TYPE, {"exchange": exchange}).fetchone()
    return str(row[0]) if row else None


def exchanges(link: Link) -> list[str]:
    """The names of all exchanges."""
    return [name for (name,) in link.execute(EXCHANGES)]


def delete_exchange(link: Link, exchange: str) -> None:
    """Delete an exchange with its bindings; the queues stay."""
    link.execute(DELETE_EXCHANGE, {"exchange": exchange})


def bind(link: Link, exchange: str, routing_key: str, pattern: str, queue: str) -> bool:
    """Let what is published to the exchange reach the queue; answers whether there is such a queue."""
    parameters = {"exchange": exchange, "routing_key": routing_key, "pattern": pattern, "queue": queue}
    return link.execute(BIND, parameters).rowcount == 1


def unbind(link: Link, exchange: str, routing_key: str, queue: str) -> None:
    """End a binding."""
    link.execute(UNBIND, {"exchange": exchange, "routing_key": routing_key, "queue": queue})


def bindings(link: Link, exchange: str) -> list[tuple[str, str, str]]:
    """(routing key, pattern, queue) of every binding of an exchange."""
    return link.execute(BINDINGS, {"exchange": exchange}).fetchall()


def all_bindings(link: Link) -> list[tuple[str, str, str]]:
    """(queue, exchange, routing key) of every binding."""
    return link.execute(ALL_BINDINGS).fetchall()


def _milliseconds(value: float | None) -> timedelta | None:
    return None if value is None else timedelta(milliseconds=value)
