"""The statements by which messages come to queues, and the ranks that they have there (see `app.broker.lanes`). As in
`app.broker.statements`, each is one round trip and its own transaction unless said.
"""

#: Wakes the consumers of the queue when the transaction commits, and only where one sleeps: a NOTIFY locks the whole
#: database while it commits, and with one in every insert 20,000 inserts a second become 5,000. Whether one sleeps is
#: read before the commit, so a consumer looks again a little after it fell asleep.
_WAKE = """SELECT pg_notify(%(channel)s, '') FROM published
WHERE EXISTS (SELECT FROM broker.consumers WHERE idle AND %(queue)s = ANY (queues)) LIMIT 1"""

#: The ranks of the first message of a queue and priority that waits, from one on that is known to have been it, and of
#: the last one of a lane; and a rank beyond all that were given.
_HEAD = """SELECT rank FROM broker.messages
    WHERE queue = {queue} AND state = 'ready' AND priority = {priority} AND rank >= {head}
    ORDER BY rank LIMIT 1"""
_LAST = """SELECT rank FROM broker.messages
    WHERE lane = {lane} AND queue = {queue} AND priority = {priority} AND state = 'ready'
    ORDER BY rank DESC LIMIT 1"""
_BEYOND = "nextval('broker.messages_id_seq')"

#: The rank of each of the rows `due` of a larger statement: what becomes due takes its turn with the others from then
#: on. It comes after the head, though it is older.
RIPE_RANK = f"""coalesce(
        greatest(({_HEAD.format(queue="due.queue", priority="due.priority", head="0")}),
                 ({_LAST.format(lane="due.lane", queue="due.queue", priority="due.priority")}))
        + row_number() OVER (PARTITION BY queue, priority, lane ORDER BY ready_at, id),
        {_BEYOND}
    )"""

_HEAD_HERE = _HEAD.format(queue="%(queue)s", priority="%(priority)s", head="%(head)s")
_LAST_HERE = _LAST.format(lane="%(lane)s", queue="%(queue)s", priority="%(priority)s")

#: The ranks of messages that are written one after the other, with `head` at hand.
_RANK = f"""CASE WHEN %(lane)s::text IS NULL THEN {_BEYOND} ELSE coalesce(
            greatest((SELECT rank FROM head), ({_LAST_HERE}) + 1) + row_number() OVER () - 1,
            {_BEYOND}
        ) END"""

#: Add one message.
PUBLISH = f"""
WITH head AS ({_HEAD_HERE}), published AS (
    INSERT INTO broker.messages
        (queue, priority, lane, rank, state, ready_at, expires_at, function_id, execution_id, payload)
    SELECT
        %(queue)s, %(priority)s, %(lane)s, {_RANK},
        CASE WHEN %(delay)s::interval > interval '0' THEN 'delayed' ELSE 'ready' END,
        now() + %(delay)s::interval,
        now() + %(delay)s::interval
            + least(%(ttl)s::interval, CASE WHEN name IS NULL THEN %(undeclared_ttl)s::interval ELSE message_ttl END),
        %(function_id)s::uuid, %(execution_id)s::uuid, %(payload)s::json
    FROM (SELECT) AS once LEFT JOIN broker.queues ON name = %(queue)s
    RETURNING id
)
{_WAKE}
"""

#: Two parts of a larger statement: add one message for every row of a CTE named `accepted` with columns function_id,
#: execution_id and payload, in their order, and wake whoever sleeps. `head` has the `rank` of who was first, or no row.
PUBLISH_ACCEPTED = f"""head AS ({_HEAD_HERE}), published AS (
    INSERT INTO broker.messages (queue, priority, lane, rank, function_id, execution_id, payload)
    SELECT %(queue)s, %(priority)s, %(lane)s, {_RANK}, function_id, execution_id, payload FROM accepted
    RETURNING id
), woken AS ({_WAKE})"""

#: The same where the rows say also from when on, and until when, each is to be had: `ready_at` and `expires_at`; and
#: whether each is `gated`, and how many of its lane may be ready or leased, `lane_places`.
PUBLISH_ACCEPTED_TIMED = f"""head AS ({_HEAD_HERE}), published AS (
    INSERT INTO broker.messages
        (queue, priority, lane, rank, state, ready_at, expires_at, gated, lane_places, function_id, execution_id,
         payload)
    SELECT %(queue)s, %(priority)s, %(lane)s, {_RANK},
           CASE WHEN held OR ready_at > now() THEN 'delayed' ELSE 'ready' END,
           CASE WHEN held THEN 'infinity' ELSE ready_at END, expires_at, gated, lane_places, function_id, execution_id,
           payload
    FROM (SELECT *, gated AND ready_at <= now() AS held FROM accepted) AS accepted
    RETURNING id
), woken AS ({_WAKE})"""

#: Add a copy for every queue bound to a fanout exchange, and wake its consumers even if they are busy: this is how
#: workers are talked to.
PUBLISH_FANOUT = """
INSERT INTO broker.messages AS message (queue, priority, state, ready_at, expires_at, payload)
SELECT queue, %(priority)s, CASE WHEN %(delay)s::interval > interval '0' THEN 'delayed' ELSE 'ready' END,
       now() + %(delay)s::interval, now() + %(delay)s::interval + least(%(ttl)s::interval, message_ttl),
       %(payload)s::json
FROM broker.bindings LEFT JOIN broker.queues ON name = queue
WHERE exchange = %(exchange)s
RETURNING pg_notify(broker.channel_of(message.queue), '')
"""
