"""The statements on messages that are in queues, named; those by which they come there are in
`app.broker.publishing_statements`. Parameters are psycopg's ``%(name)s``; each is one round trip and its own
transaction unless said.

A message moves ``ready → leased → (deleted)``; ``delayed → ready`` when its time comes, ``leased → ready`` when its
lease runs out or is given back, and to ``dead`` when that has happened too often. Each claim makes a token by chance:
with the id it holds the lease, and that of a superseded holder hits no row.

Messages of one priority are claimed by their ranks (see `app.broker.lanes`), and by their ids where those are equal.

What the planner believes of a queue is often wrong: a moment ago it was empty, or full. So some conditions are worded
in such a way that only one index serves them. A message has a holder exactly while it is leased: asked for by its
holder and not by its state it is found by its id alone, and never by going through all that are leased.
"""

from collections.abc import Sequence

from app.broker.publishing_statements import BEHIND, RIPE_RANK

#: The two keys of a consumer's lock: "kiln", and its own.
_PRESENCE = "1802071150, broker.presence_key(%(name)s)"

#: The messages of one queue that people have not to look at, by the index of each state.
OF_QUEUE = """
    SELECT id FROM broker.messages WHERE queue = {queue} AND state = 'ready'
    UNION ALL SELECT id FROM broker.messages WHERE queue = {queue} AND state = 'delayed'
    UNION ALL SELECT id FROM broker.messages WHERE queue = {queue} AND state = 'leased'
"""

#: The ready messages beyond a consumer's cursor, the most urgent first. The cursor has a rank for every priority:
#: without it each claim would step over every message claimed since the oldest snapshot that is still open. Locked rows
#: are those that others are claiming.
_CANDIDATES = """
    SELECT found.id
    FROM unnest(%(priorities)s::smallint[], %(after)s::bigint[]) AS cursor (priority, rank)
    CROSS JOIN LATERAL (
        SELECT id FROM broker.messages
        WHERE queue = %(queue)s AND state = 'ready' AND priority = cursor.priority AND rank >= cursor.rank
          AND (expires_at IS NULL OR expires_at > now())
        ORDER BY rank, id
        LIMIT %(limit)s
        FOR UPDATE SKIP LOCKED
    ) AS found
    LIMIT %(limit)s
"""

_LEASED = """state = 'leased', holder = %(holder)s, token = (random() * 2147483647)::integer,
        deliveries = deliveries + 1, ready_at = now() + %(lease)s"""

#: Lease ready messages of one queue. `{acknowledging}` deletes what was finished since, `{durability}` may be
#: FORGETTABLE where nothing was; `{on_claim}` joins what travels along.
CLAIM = f"""
WITH {{acknowledging}}candidate AS ({_CANDIDATES}), claimed AS (
    UPDATE broker.messages AS message
    SET {_LEASED}
    FROM candidate
    WHERE message.id = candidate.id{{durability}}
    RETURNING message.*
){{on_claim}}
ORDER BY claimed.priority DESC, claimed.rank, claimed.id
"""

#: A part of a larger statement: lease more of what its worker holds already, for a task that goes on with the next
#: messages by itself. They are of the same queue and priority and of a rank from `%(after)s` on; none is taken that was
#: delivered before, and none while anything more urgent is ready of a rank from `%(urgent_after)s` on. Rows: `claimed`.
TAKE_ALONG = f"""along AS (
    SELECT id FROM broker.messages
    WHERE queue = %(queue)s AND state = 'ready' AND priority = %(priority)s AND rank >= %(after)s
      AND deliveries = 0 AND execution_id IS NOT NULL AND (expires_at IS NULL OR expires_at > now())
      AND (
        SELECT rank FROM broker.messages
        WHERE queue = %(queue)s AND state = 'ready' AND priority > %(priority)s AND rank >= %(urgent_after)s
        ORDER BY priority DESC, rank LIMIT 1
      ) IS NULL
    ORDER BY rank, id
    LIMIT %(most)s
    FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE broker.messages AS message
    SET {_LEASED}
    FROM along
    WHERE message.id = along.id
    RETURNING message.*
)"""

_HELD = """unnest(%(ids)s::bigint[], %(tokens)s::integer[]) AS held (id, token)
    WHERE message.id = held.id AND message.token = held.token AND message.holder IS NOT NULL"""

#: Whoever sleeps over a queue that something was given back to is woken: it may lie behind that consumer's cursor,
#: where no beat looks.
_WOKEN = """CASE WHEN message.state = 'ready' AND EXISTS (
        SELECT FROM broker.consumers WHERE idle AND message.queue = ANY (queues)
    ) THEN pg_notify(broker.channel_of(message.queue), '') END AS woken"""

#: What becomes of the end of its time where a message comes back that was worked on. That of an execution says until
#: when it is to begin, which it did.
TAKEN_IN_TIME = "CASE WHEN execution_id IS NULL THEN expires_at END"

#: Give back what was claimed and not begun, as if it had not been claimed, but for `deliveries`.
UNCLAIM = f"""
    UPDATE broker.messages AS message
    SET state = 'ready', holder = NULL, ready_at = now()
    FROM {_HELD}
    RETURNING message.execution_id, {_WOKEN}
"""

#: The same as a part of a larger statement. Rows: `returned`.
GIVE_BACK = f"returned AS ({UNCLAIM})"

#: The end of CLAIM where nothing travels along, and where a hook's rows do.
CLAIM_PLAIN = """
SELECT id, priority, rank, token, deliveries, losses, payload::text, NULL::json AS carried FROM claimed"""
CLAIM_CARRYING = """, hook AS (
{hook}
)
SELECT claimed.id, priority, rank, token, deliveries, losses, payload::text, carried
FROM claimed LEFT JOIN hook ON hook.message_id = claimed.id"""

#: Claim and delete at once, for consumers that never acknowledge.
TAKE = f"""
WITH candidate AS ({_CANDIDATES}), claimed AS (
    DELETE FROM broker.messages AS message USING candidate WHERE message.id = candidate.id RETURNING message.*
)
SELECT id, priority, rank, token, deliveries, losses, payload::text, NULL::json AS carried
FROM claimed ORDER BY priority DESC, rank, id
"""

#: Delete a leased message if the token still holds it. Runs in the transaction of whoever writes the result.
SETTLE = """
DELETE FROM broker.messages
WHERE id = %(message_id)s AND token = %(token)s AND holder IS NOT NULL
RETURNING id
"""

#: A part of a larger statement: give one back for later, if the token still holds it; nothing is counted against it.
#: `%(time_goes_on)s`: whether it may still come too late. Rows: `released`.
RELEASING = f"""released AS (
    UPDATE broker.messages AS message
    SET state = CASE WHEN %(delay)s > interval '0' THEN 'delayed' ELSE 'ready' END, holder = NULL,
        ready_at = now() + %(delay)s,
        expires_at = CASE WHEN %(time_goes_on)s THEN expires_at ELSE {TAKEN_IN_TIME} END
    WHERE id = %(message_id)s AND token = %(token)s AND holder IS NOT NULL
    RETURNING message.id, {_WOKEN}
)"""

#: Delete many at once, each guarded by its token.
ACKNOWLEDGE = """
DELETE FROM broker.messages AS message
USING unnest(%(acked_ids)s::bigint[], %(acked_tokens)s::integer[]) AS acked (id, token)
WHERE message.id = acked.id AND message.token = acked.token AND message.holder IS NOT NULL
"""

#: The same as a part of CLAIM. That one row is not touched twice in a statement is certain: a leased message is no
#: candidate.
ACKNOWLEDGING = f"acknowledged AS ({ACKNOWLEDGE}), "

#: The claim is answered before it is on disk. A crash of PostgreSQL that forgets it leaves the message as it was, to be
#: claimed again; whoever works on it already shows a token that no row has. Whatever is committed durably afterwards
#: puts the claim on disk too.
FORGETTABLE = " AND set_config('synchronous_commit', 'off', true) = 'off'"

#: Renew the leases of everything that a consumer has in its hands; answers those that still hold.
RENEW = f"""
UPDATE broker.messages AS message
SET ready_at = now() + %(lease)s
FROM {_HELD}
RETURNING message.id
"""

#: Give everything back that a consumer holds, at once and uncounted: its work was ended on purpose. `{hooks}` reads
#: `released`.
RELEASE_HELD = f"""
WITH released AS (
    UPDATE broker.messages AS message
    SET state = 'ready', holder = NULL, ready_at = now(), deliveries = deliveries - 1, expires_at = {TAKEN_IN_TIME}
    WHERE holder = %(holder)s AND state = 'leased'
    RETURNING message.*, {_WOKEN}
){{hooks}}
SELECT id FROM released
"""

#: Give leased messages back, at once or after a delay. Each cause is counted by itself, and a message that reaches
#: the limit of either is set aside.
RELEASE = f"""
WITH moved AS (
    UPDATE broker.messages AS message
    SET state = CASE WHEN losses + %(losses)s >= %(loss_limit)s OR requeues + %(requeues)s >= %(requeue_limit)s
                     THEN 'dead' WHEN %(delay)s > interval '0' THEN 'delayed' ELSE 'ready' END,
        dead_reason = CASE WHEN losses + %(losses)s >= %(loss_limit)s THEN 'worker_lost'
                           WHEN requeues + %(requeues)s >= %(requeue_limit)s THEN 'requeued' END,
        died_at = CASE WHEN losses + %(losses)s >= %(loss_limit)s OR requeues + %(requeues)s >= %(requeue_limit)s
                       THEN now() END,
        holder = NULL, losses = losses + %(losses)s, requeues = requeues + %(requeues)s, ready_at = now() + %(delay)s,
        expires_at = CASE WHEN %(losses)s > 0 THEN {TAKEN_IN_TIME} ELSE expires_at END
    FROM {_HELD}
    RETURNING message.*, {_WOKEN}
){{on_dead}}
SELECT id, state FROM moved
"""

#: What BEAT is about to set aside, and how it is done to one of them: for when a hook fails.
DYING = """
SELECT id FROM broker.messages
WHERE state = 'leased' AND ready_at <= now() AND losses + 1 >= %(loss_limit)s
ORDER BY ready_at
LIMIT 1000
"""
BURY_LOST = """
WITH moved AS (
    UPDATE broker.messages AS message
    SET state = 'dead', dead_reason = 'worker_lost', died_at = now(), holder = NULL, losses = losses + 1
    WHERE id = %(message_id)s AND state = 'leased' AND ready_at <= now() AND losses + 1 >= %(loss_limit)s
    RETURNING message.*
){on_dead}
SELECT id, state FROM moved
"""

#: Set a leased message aside for a person to look at.
BURY = f"""
WITH moved AS (
    UPDATE broker.messages AS message
    SET state = 'dead', dead_reason = %(reason)s, died_at = now(), holder = NULL
    FROM {_HELD}
    RETURNING message.*
){{on_dead}}
SELECT id, state FROM moved
"""

#: Let gated messages through that have room. It is done beside what made room, after its commit, and by each beat.
ADMIT = "SELECT broker.admit() WHERE set_config('synchronous_commit', 'off', true) = 'off'"

#: How many messages of a function may be ready or leased, of those that are gated.
SET_GATE = """
INSERT INTO broker.gates AS gate (function_id, places) VALUES (%(function_id)s, %(places)s)
ON CONFLICT (function_id) DO UPDATE SET places = excluded.places WHERE gate.places <> excluded.places
"""
OPEN_GATE = "DELETE FROM broker.gates WHERE function_id = %(function_id)s"

#: Say that a consumer lives.
ANNOUNCE = """
    INSERT INTO broker.consumers (name, node, queues, idle) VALUES (%(name)s, %(node)s, %(queues)s, %(idle)s)
    ON CONFLICT (name) DO UPDATE
    SET node = excluded.node, queues = excluded.queues, idle = excluded.idle, seen_at = now()
"""

#: The session of a consumer holds this lock from before its first word to its last, and PostgreSQL gives it back when
#: the session ends: a consumer is present, as AMQP has it, for as long as its connection lasts, and not only while it
#: speaks. It may sleep, be at work, be stopped with its whole machine, and clocks may be set: its queues wait for it.
#: Where the connection ends, its owner learns of that and declares them again.
ARRIVE = f"SELECT pg_advisory_lock_shared({_PRESENCE})"

#: Say that a consumer has gone.
DEPART = f"""
WITH gone AS (DELETE FROM broker.consumers WHERE name = %(name)s)
SELECT pg_advisory_unlock_shared({_PRESENCE})
"""

_CURSORS = "unnest(%(cursor_queues)s::text[], %(priorities)s::smallint[], %(after)s::bigint[])"

#: The beat of a consumer, once a second: it says that it lives; what is due becomes ready, late leases among it; what
#: has expired goes; what is gated and has room is let through; and it learns which of its queues have something beyond
#: its cursors. Any number of processes may do it: rows that another is moving are skipped. `%(horizon)s` bounds how
#: long ago something may have become due, so that what was dealt with since is not read again and again; from time to
#: time it is unbounded.
BEAT = f"""
WITH alive AS ({ANNOUNCE}), lost AS (
    SELECT id FROM broker.messages
    WHERE state = 'leased' AND ready_at <= now() AND ready_at > now() - %(horizon)s::interval
    ORDER BY ready_at
    LIMIT 1000
    FOR UPDATE SKIP LOCKED
), due AS (
    SELECT id, queue, priority, lane, gated, function_id, ready_at FROM broker.messages
    WHERE state = 'delayed' AND ready_at <= now() AND ready_at > now() - %(horizon)s::interval
      AND (expires_at IS NULL OR expires_at > now())
    ORDER BY ready_at
    LIMIT 1000
    FOR UPDATE SKIP LOCKED
), expired AS (
    DELETE FROM broker.messages WHERE id IN (
        SELECT id FROM broker.messages
        WHERE expires_at <= now() AND state IN ('ready', 'delayed')
        ORDER BY expires_at
        LIMIT 5000
        FOR UPDATE SKIP LOCKED
    )
    RETURNING execution_id
){{on_expired}}, bounds AS (
    SELECT queue, priority, rank FROM {_CURSORS} AS cursor (queue, priority, rank)
), {BEHIND}, ripe AS (
    SELECT id, true AS lost, NULL AS place FROM lost
    UNION ALL
    SELECT id, false, CASE WHEN due.lane IS NOT NULL THEN {RIPE_RANK} END
    FROM due LEFT JOIN behind ON behind.queue = due.queue AND behind.priority = due.priority AND behind.lane = due.lane
        AND behind.gate IS NOT DISTINCT FROM CASE WHEN gated THEN function_id END
), moved AS (
    UPDATE broker.messages AS message
    SET state = CASE WHEN lost AND losses + 1 >= %(loss_limit)s THEN 'dead' WHEN gated AND NOT lost THEN 'delayed'
                     ELSE 'ready' END,
        ready_at = CASE WHEN gated AND NOT lost THEN 'infinity' ELSE ready_at END,
        dead_reason = CASE WHEN lost AND losses + 1 >= %(loss_limit)s THEN 'worker_lost' END,
        died_at = CASE WHEN lost AND losses + 1 >= %(loss_limit)s THEN now() END,
        holder = NULL, losses = losses + lost::integer, rank = coalesce(place, rank),
        expires_at = CASE WHEN lost THEN {TAKEN_IN_TIME} ELSE expires_at END
    FROM ripe
    WHERE message.id = ripe.id
    RETURNING message.*, {_WOKEN}
){{on_dead}}{{tidy}}
SELECT name, coalesce(bool_or(moved.queue IS NOT NULL), false) AS moved
FROM unnest(%(queues)s::text[]) AS name LEFT JOIN moved ON moved.queue = name AND moved.state = 'ready'
WHERE (SELECT broker.admit()) IS NOT NULL AND (moved.queue IS NOT NULL OR EXISTS (
    SELECT FROM bounds AS cursor
    WHERE cursor.queue = name AND EXISTS (
        SELECT FROM broker.messages AS message
        WHERE message.queue = cursor.queue AND message.state = 'ready' AND message.priority = cursor.priority
          AND message.rank >= cursor.rank AND (message.expires_at IS NULL OR message.expires_at > now())
    )
))
GROUP BY name
"""

#: A part of BEAT, done now and then: queues that end by themselves go, and so do consumers that went without a word,
#: for whom publishers would notify in vain. Rows that another is tidying are skipped: two that waited for each other's
#: would never end.
TIDY = f""", in_use AS (
    UPDATE broker.queues SET used_at = now(), was_consumed = true WHERE name IN (
        SELECT name FROM broker.queues
        WHERE (expires IS NOT NULL OR auto_delete)
          AND name IN (SELECT unnest(queues) FROM broker.present_consumers)
        FOR UPDATE SKIP LOCKED
    )
), ended AS (
    DELETE FROM broker.queues WHERE name IN (
        SELECT name FROM broker.queues
        WHERE (used_at < now() - expires OR auto_delete AND was_consumed AND used_at < now() - interval '30 seconds')
          AND name NOT IN (SELECT unnest(queues) FROM broker.present_consumers)
        FOR UPDATE SKIP LOCKED
    )
    RETURNING name
), unbound AS (
    DELETE FROM broker.bindings USING ended WHERE queue = ended.name
), emptied AS (
    DELETE FROM broker.messages WHERE id IN (
        SELECT found.id FROM ended CROSS JOIN LATERAL ({OF_QUEUE.format(queue="ended.name")}) AS found
    )
), gone AS (
    DELETE FROM broker.consumers WHERE name IN (
        SELECT name FROM broker.consumers
        WHERE seen_at < now() - interval '15 seconds' AND name NOT IN (SELECT name FROM broker.present_consumers)
        FOR UPDATE SKIP LOCKED
    )
)"""

#: Say that a consumer has more than enough to do, or that it found nothing more and must be woken.
SET_IDLE = "UPDATE broker.consumers SET idle = %(idle)s WHERE name = %(name)s"


def with_hooks(statement: str, on_dead: Sequence[str], *, tidy: str = "", on_expired: Sequence[str] = ()) -> str:
    """RELEASE, BURY or BEAT with what else happens when a message dies or expires, in the same transaction.

    Each hook is a data-modifying statement that reads ``buried``, the messages that died, or ``expired``, the
    ``execution_id`` of those that were to be had until now.
    """
    buried = ", buried AS (SELECT * FROM moved WHERE state = 'dead')" if on_dead else ""
    hooks = "".join(f", hook_{number} AS ({hook})" for number, hook in enumerate(on_dead))
    last = "".join(f", last_{number} AS ({hook})" for number, hook in enumerate(on_expired))
    return statement.replace("{on_dead}", buried + hooks).replace("{tidy}", tidy).replace("{on_expired}", last)
