"""Every statement of the broker, named. Parameters are psycopg's ``%(name)s``; each is one round trip and its own
transaction unless said.

A message moves ``ready → leased → (deleted)``; ``delayed → ready`` when its time comes, ``leased → ready`` when its
lease runs out or is given
back. The lease token is the pair (id, deliveries): a claim raises `deliveries`, so a superseded holder's token hits no
row.
"""

#: Add one message.
PUBLISH = """
INSERT INTO broker.messages (queue, priority, function_id, execution_id, payload)
VALUES (%(queue)s, %(priority)s, %(function_id)s, %(execution_id)s, %(payload)s)
"""

#: Add one message for every row of a CTE named `accepted` with columns function_id and execution_id.
PUBLISH_ACCEPTED = """
INSERT INTO broker.messages (queue, priority, function_id, execution_id, payload)
SELECT %(queue)s, %(priority)s, function_id, execution_id, %(payload)s::json FROM accepted
"""

#: Add a copy for every queue bound to a fanout exchange.
PUBLISH_FANOUT = """
INSERT INTO broker.messages (queue, priority, payload)
SELECT queue, %(priority)s, %(payload)s::json FROM broker.bindings WHERE exchange = %(exchange)s
RETURNING queue
"""

#: Lease the most urgent ready messages of one queue, skipping rows that others are claiming. `{on_claim}` joins what
#: travels along.
CLAIM = """
WITH candidate AS (
    SELECT id FROM broker.messages
    WHERE queue = %(queue)s AND state = 'ready'
    ORDER BY priority DESC, id
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE broker.messages AS message
    SET state = 'leased', holder = %(holder)s, deliveries = deliveries + 1, ready_at = now() + %(lease)s
    FROM candidate
    WHERE message.id = candidate.id
    RETURNING message.*
){on_claim}
ORDER BY claimed.priority DESC, claimed.id
"""

#: The end of CLAIM where nothing travels along, and where a hook's rows do.
CLAIM_PLAIN = """
SELECT id, deliveries, losses, payload, NULL::json AS carried FROM claimed"""
CLAIM_CARRYING = """, hook AS (
{hook}
)
SELECT claimed.id, deliveries, losses, payload, carried FROM claimed LEFT JOIN hook ON hook.message_id = claimed.id"""

#: Claim and delete at once, for consumers that never acknowledge.
TAKE = """
DELETE FROM broker.messages
WHERE id IN (
    SELECT id FROM broker.messages
    WHERE queue = %(queue)s AND state = 'ready'
    ORDER BY priority DESC, id
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
)
RETURNING id, deliveries, losses, payload, NULL::json AS carried
"""

#: Delete a leased message if the token still holds it. Runs in the transaction of whoever writes the result.
SETTLE = """
DELETE FROM broker.messages
WHERE id = %(message_id)s AND deliveries = %(token)s AND state = 'leased'
RETURNING id
"""

#: Delete many at once, each guarded by its token.
ACKNOWLEDGE = """
DELETE FROM broker.messages AS message
USING unnest(%(ids)s::bigint[], %(tokens)s::integer[]) AS acked (id, token)
WHERE message.id = acked.id AND message.deliveries = acked.token AND message.state = 'leased'
"""

#: Give leased messages back, at once or after a delay; `losses` grows where the worker died of it.
RELEASE = """
UPDATE broker.messages AS message
SET state = CASE WHEN %(delay)s > interval '0' THEN 'delayed' ELSE 'ready' END,
    holder = NULL, losses = losses + %(losses)s, ready_at = now() + %(delay)s
FROM unnest(%(ids)s::bigint[], %(tokens)s::integer[]) AS released (id, token)
WHERE message.id = released.id AND message.deliveries = released.token AND message.state = 'leased'
"""

#: Renew the leases of everything that a consumer has in its hands.
RENEW = """
UPDATE broker.messages AS message
SET ready_at = now() + %(lease)s
FROM unnest(%(ids)s::bigint[], %(tokens)s::integer[]) AS held (id, token)
WHERE message.id = held.id AND message.deliveries = held.token AND message.state = 'leased'
"""

#: Make ready what is due, late leases among it; answer which of the given queues have something ready.
#: Any process may run it at any time; rows that another is moving are skipped.
LOOK = """
WITH due AS (
    UPDATE broker.messages
    SET state = 'ready', holder = NULL, losses = losses + (state = 'leased')::integer
    WHERE id IN (
        SELECT id FROM broker.messages
        WHERE state IN ('delayed', 'leased') AND ready_at <= now()
        ORDER BY ready_at
        LIMIT 1000
        FOR UPDATE SKIP LOCKED
    )
    RETURNING queue
)
SELECT name FROM unnest(%(queues)s::text[]) AS name
WHERE EXISTS (SELECT FROM broker.messages WHERE queue = name AND state = 'ready') OR name IN (SELECT queue FROM due)
"""

#: Say that a consumer lives.
ANNOUNCE = """
INSERT INTO broker.consumers (name, queues) VALUES (%(name)s, %(queues)s)
ON CONFLICT (name) DO UPDATE SET queues = excluded.queues, seen_at = now()
"""

#: Say that a consumer has gone, and forget those that went without a word.
DEPART = "DELETE FROM broker.consumers WHERE name = %(name)s OR seen_at < now() - interval '1 day'"

DECLARE_QUEUE = "INSERT INTO broker.queues (name) VALUES (%(queue)s) ON CONFLICT DO NOTHING"
DELETE_QUEUE = """
WITH unbound AS (DELETE FROM broker.bindings WHERE queue = %(queue)s),
     emptied AS (DELETE FROM broker.messages WHERE queue = %(queue)s)
DELETE FROM broker.queues WHERE name = %(queue)s
"""
HAS_QUEUE = "SELECT 1 FROM broker.queues WHERE name = %(queue)s"
PURGE_QUEUE = "DELETE FROM broker.messages WHERE queue = %(queue)s AND state IN ('ready', 'delayed')"
SIZE = "SELECT count(*) FROM broker.messages WHERE queue = %(queue)s AND state = 'ready'"

BIND = """
INSERT INTO broker.bindings (exchange, routing_key, pattern, queue)
VALUES (%(exchange)s, %(routing_key)s, %(pattern)s, %(queue)s)
ON CONFLICT DO NOTHING
"""
BINDINGS = "SELECT routing_key, pattern, queue FROM broker.bindings WHERE exchange = %(exchange)s"

NOTIFY = "SELECT pg_notify(channel, '') FROM unnest(%(channels)s::text[]) AS channel"
