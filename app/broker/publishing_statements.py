"""The statements by which messages come to queues, and the ranks that they have there (see `app.broker.lanes`). As in
`app.broker.statements`, each is one round trip and its own transaction unless said.
"""

#: Wakes the consumers of the queue when the transaction commits, and only where one sleeps: a NOTIFY locks the whole
#: database while it commits, and with one in every insert 20,000 inserts a second become 5,000. Whether one sleeps is
#: read before the commit, so a consumer looks again a little after it fell asleep.
_WAKE = """SELECT pg_notify(%(channel)s, '') FROM published
WHERE EXISTS (SELECT FROM broker.consumers WHERE idle AND %(queue)s = ANY (queues)) LIMIT 1"""

#: The ranks of the first message of a queue and priority that waits, from one on that is known to have been it, and of
#: the last one of a lane.
_HEAD = """SELECT rank FROM broker.messages AS message
    WHERE message.queue = {queue} AND state = 'ready' AND message.priority = {priority} AND rank >= {head}
    ORDER BY rank LIMIT 1"""
_LAST = """SELECT rank FROM broker.messages AS message
    WHERE message.lane = {lane} AND message.queue = {queue} AND message.priority = {priority} AND rank >= {head}
      AND state = 'ready'
    ORDER BY rank DESC LIMIT 1"""

#: Beyond all that were given: of each message, and of the first of some.
_BEYOND = "nextval('broker.messages_id_seq')"
_BEYOND_FIRST = f"(SELECT {_BEYOND}) - 1"

_HEAD_HERE = _HEAD.format(queue="%(queue)s", priority="%(priority)s", head="%(head)s")
_LAST_HERE = _LAST.format(lane="%(lane)s", queue="%(queue)s", priority="%(priority)s", head="%(head)s")

#: The ranks of messages that are written one after the other, with `head` at hand.
_RANK = f"""CASE WHEN %(lane)s::text IS NULL THEN {_BEYOND} ELSE coalesce(
            greatest((SELECT rank FROM head) - 1, ({_LAST_HERE})), {_BEYOND_FIRST}
        ) + row_number() OVER () END"""

#: The same where they are held: they take turns with what is held of their function.
_HELD_RANK = f"""coalesce(
            broker.held_turn(function_id, %(priority)s::smallint, %(lane)s), {_BEYOND_FIRST}
        ) + row_number() OVER ()"""

#: Three parts of a larger statement, for rows `due` that have become so: behind which ranks they come, by their queues,
#: priorities, lanes, and functions where they are to be held: `behind`. They take their turns from then on. `bounds`
#: has a rank for some queues and priorities from which on to look. Whoever steps over what was claimed since the oldest
#: snapshot does so once for each.
BEHIND = f"""heads AS MATERIALIZED (
    SELECT queue, priority, ({_HEAD.format(queue="place.queue", priority="place.priority", head="place.bound")}) AS head
    FROM (
        SELECT due.queue, due.priority, coalesce(min(bounds.rank), 0) AS bound
        FROM due LEFT JOIN bounds ON bounds.queue = due.queue AND bounds.priority = due.priority
        WHERE due.lane IS NOT NULL
        GROUP BY due.queue, due.priority
    ) AS place
), behind AS MATERIALIZED (
    SELECT queue, priority, lane, gate, CASE WHEN gate IS NULL
        THEN greatest(head, ({_LAST.format(lane="one.lane", queue="one.queue", priority="one.priority", head="head")}))
        ELSE broker.held_turn(gate, priority, lane) END AS rank
    FROM (SELECT DISTINCT queue, priority, lane, CASE WHEN gated THEN function_id END AS gate FROM due) AS one
    JOIN heads USING (queue, priority)
)"""

#: The rank of each of them.
RIPE_RANK = f"""coalesce(
        behind.rank
            + row_number() OVER (PARTITION BY due.queue, due.priority, due.lane, gate ORDER BY due.ready_at, id),
        {_BEYOND}
    )"""

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

#: Three parts of a larger statement: add one message for every row of a CTE named `accepted` with columns function_id,
#: execution_id and payload, in their order, and wake whoever sleeps.
PUBLISH_ACCEPTED = f"""head AS ({_HEAD_HERE}), published AS (
    INSERT INTO broker.messages (queue, priority, lane, rank, function_id, execution_id, payload)
    SELECT %(queue)s, %(priority)s, %(lane)s, {_RANK}, function_id, execution_id, payload FROM accepted
    RETURNING rank
), woken AS ({_WAKE})"""

#: The same where the rows say also from when on, and until when, each is to be had: `ready_at` and `expires_at`; and
#: whether each is `gated`, and how many of its lane may be ready or leased, `lane_places`.
PUBLISH_ACCEPTED_TIMED = f"""head AS ({_HEAD_HERE}), published AS (
    INSERT INTO broker.messages
        (queue, priority, lane, rank, state, ready_at, expires_at, gated, lane_places, function_id, execution_id,
         payload)
    SELECT %(queue)s, %(priority)s, %(lane)s, CASE WHEN held THEN {_HELD_RANK} ELSE {_RANK} END,
           CASE WHEN held OR ready_at > now() THEN 'delayed' ELSE 'ready' END,
           CASE WHEN held THEN 'infinity' ELSE ready_at END, expires_at, gated, lane_places, function_id, execution_id,
           payload
    FROM (SELECT *, gated AND ready_at <= now() AS held FROM accepted) AS accepted
    RETURNING rank
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

#: The rank from which on the next message is written that comes to this queue; none where none was written.
HEAD_NOW = "coalesce((SELECT rank FROM head), (SELECT min(rank) FROM published))"
