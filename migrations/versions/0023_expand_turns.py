"""Turns of what is held: among those of its function; messages by their executions."""

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

INDEXES = """
CREATE INDEX ix_messages_execution ON broker.messages (function_id, execution_id) WHERE function_id IS NOT NULL;
DROP INDEX broker.ix_messages_function;
ALTER TABLE broker.gates ADD COLUMN IF NOT EXISTS passed_over integer NOT NULL DEFAULT 0;
COMMENT ON COLUMN broker.gates.passed_over IS 'How many have been let through since that are more urgent than others';
CREATE INDEX ix_messages_held_turn ON broker.messages (function_id, priority, rank)
    WHERE state = 'delayed' AND ready_at = 'infinity';
"""

#: Behind which rank the next of a lane is held.
HELD_TURN = """
CREATE FUNCTION broker.held_turn(wanted_function uuid, wanted_priority smallint, wanted_lane text)
RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT greatest(
        (SELECT rank FROM broker.messages
         WHERE state = 'delayed' AND ready_at = 'infinity' AND function_id = wanted_function
           AND priority = wanted_priority
         ORDER BY rank LIMIT 1) - 1,
        (SELECT rank FROM broker.messages
         WHERE state = 'delayed' AND ready_at = 'infinity' AND function_id = wanted_function AND lane = wanted_lane
           AND priority = wanted_priority
         ORDER BY rank DESC LIMIT 1)
    )
$$;
COMMENT ON FUNCTION broker.held_turn IS
    'The rank behind which the next of a lane is held: that of its last one, and before the first of the function';
"""

#: As before, but that the first of a queue is looked for from where it was found last, and that what is less urgent
#: comes first for once where 16 that are more urgent were let through before it, as in `app.broker.cursor`.
ADMIT = """
CREATE OR REPLACE FUNCTION broker.admit() RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    flow    record;
    room    bigint;
    few     bigint;
    head    bigint;
    turn    bigint;
    heads   jsonb := '{}';
    through integer := 0;
    before  integer;
BEGIN
    IF NOT EXISTS (SELECT FROM broker.messages WHERE state = 'delayed' AND ready_at = 'infinity') THEN
        RETURN 0;
    END IF;
    PERFORM pg_advisory_xact_lock(1802071150, 0);
    LOOP
        before := through;
        FOR flow IN
            WITH RECURSIVE flows AS (
                (SELECT function_id, lane FROM broker.messages
                 WHERE state = 'delayed' AND ready_at = 'infinity' ORDER BY function_id, lane LIMIT 1)
                UNION ALL
                SELECT following.* FROM flows CROSS JOIN LATERAL (
                    SELECT function_id, lane FROM broker.messages
                    WHERE state = 'delayed' AND ready_at = 'infinity'
                      AND (function_id, lane) > (flows.function_id, flows.lane)
                    ORDER BY function_id, lane LIMIT 1
                ) AS following
            )
            SELECT first.*, min(first.priority) OVER (PARTITION BY first.function_id) AS least
            FROM flows LEFT JOIN broker.gates AS gate USING (function_id) CROSS JOIN LATERAL (
                SELECT function_id, lane, lane_places, queue, priority, rank, id, queue || ' ' || priority AS place
                FROM broker.messages AS message
                WHERE state = 'delayed' AND ready_at = 'infinity'
                  AND message.function_id = flows.function_id AND message.lane = flows.lane
                ORDER BY message.priority DESC, message.rank, message.id LIMIT 1
            ) AS first
            ORDER BY CASE WHEN gate.passed_over >= 16 THEN -first.priority ELSE first.priority END DESC,
                     first.rank, first.id
        LOOP
            room := least(
                flow.lane_places - (
                    SELECT count(*) FROM broker.messages
                    WHERE gated AND state IN ('ready', 'leased') AND lane = flow.lane
                ),
                (SELECT places FROM broker.gates WHERE function_id = flow.function_id) - (
                    SELECT count(*) FROM broker.messages
                    WHERE gated AND state IN ('ready', 'leased') AND function_id = flow.function_id
                )
            );
            CONTINUE WHEN room <= 0;
            head := (
                SELECT rank FROM broker.messages
                WHERE queue = flow.queue AND priority = flow.priority AND state = 'ready'
                  AND rank >= coalesce((heads ->> flow.place)::bigint, 0)
                ORDER BY rank LIMIT 1
            );
            turn := coalesce(greatest(head, (
                SELECT rank FROM broker.messages
                WHERE queue = flow.queue AND priority = flow.priority AND lane = flow.lane AND state = 'ready'
                  AND rank >= head
                ORDER BY rank DESC LIMIT 1
            )) + 1, nextval('broker.messages_id_seq'));
            heads := heads || jsonb_build_object(flow.place, coalesce(head, turn));
            UPDATE broker.messages AS message SET state = 'ready', ready_at = now(), rank = turn + place - 1
            FROM (
                SELECT id, row_number() OVER (ORDER BY rank, id) AS place FROM (
                    SELECT id, rank FROM broker.messages
                    WHERE state = 'delayed' AND ready_at = 'infinity' AND queue = flow.queue
                      AND function_id = flow.function_id AND lane = flow.lane AND priority = flow.priority
                    ORDER BY rank, id LIMIT CASE WHEN room IS NULL THEN 1000 ELSE 1 END
                    FOR UPDATE SKIP LOCKED
                ) AS first
            ) AS chosen
            WHERE message.id = chosen.id;
            GET DIAGNOSTICS few = ROW_COUNT;
            through := through + few;
            UPDATE broker.gates
            SET passed_over = CASE WHEN flow.priority > flow.least THEN passed_over + 1 ELSE 0 END
            WHERE function_id = flow.function_id AND (passed_over > 0 OR flow.priority > flow.least);
            PERFORM pg_notify(broker.channel_of(flow.queue), '')
            WHERE few > 0 AND EXISTS (SELECT FROM broker.consumers WHERE idle AND flow.queue = ANY (queues));
        END LOOP;
        EXIT WHEN through = before OR through >= 1000;
    END LOOP;
    RETURN through;
END $$;
"""

#: `broker.admit()` and what it counts stay: they need nothing of this.
UNTURNED = """
DROP FUNCTION broker.held_turn(uuid, smallint, text);
DROP INDEX broker.ix_messages_held_turn;
CREATE INDEX ix_messages_function ON broker.messages (function_id) WHERE function_id IS NOT NULL;
DROP INDEX broker.ix_messages_execution;
"""


def upgrade() -> None:
    op.execute(INDEXES)
    op.execute(HELD_TURN)
    op.execute(ADMIT)


def downgrade() -> None:
    op.execute(UNTURNED)
