"""How often functions, users and keys may have something executed, and how much of it at a time."""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

RATES = """
ALTER TABLE functions
    ADD COLUMN executions_per_minute integer
        CONSTRAINT ck_functions_executions_per_minute CHECK (executions_per_minute > 0),
    ADD COLUMN concurrency integer CONSTRAINT ck_functions_concurrency CHECK (concurrency > 0);
COMMENT ON COLUMN functions.executions_per_minute IS 'how often it may be executed; none for as often as anybody likes';
COMMENT ON COLUMN functions.concurrency IS 'how many of its executions may be under way; none for any number';

ALTER TABLE api_keys ADD COLUMN executions_per_minute integer
    CONSTRAINT ck_api_keys_executions_per_minute CHECK (executions_per_minute > 0);
COMMENT ON COLUMN api_keys.executions_per_minute IS 'how often it may have something executed; none for what is set';
"""

#: A message that is gated is ready or leased only while fewer than so many of its function, and of its lane, are. The
#: others are held: delayed for ever, until `broker.admit()` lets them through.
GATES = """
CREATE TABLE broker.gates (
    function_id uuid CONSTRAINT pk_gates PRIMARY KEY,
    places      integer NOT NULL
);
COMMENT ON TABLE broker.gates IS 'How many gated messages of a function may be ready or leased';

ALTER TABLE broker.messages
    ADD COLUMN gated boolean NOT NULL DEFAULT false,
    ADD COLUMN lane_places integer,
    ADD CONSTRAINT ck_messages_gated_has_flow CHECK (NOT gated OR (function_id IS NOT NULL AND lane IS NOT NULL));
COMMENT ON COLUMN broker.messages.gated IS 'Whether it may have to wait for others of its function or lane';
COMMENT ON COLUMN broker.messages.lane_places IS 'How many gated messages of its lane may be ready or leased';

CREATE INDEX ix_messages_held ON broker.messages (function_id, lane, priority DESC, rank, id)
    WHERE state = 'delayed' AND ready_at = 'infinity';
CREATE INDEX ix_messages_through_function ON broker.messages (function_id)
    WHERE gated AND state IN ('ready', 'leased');
CREATE INDEX ix_messages_through_lane ON broker.messages (lane) WHERE gated AND state IN ('ready', 'leased');
CREATE INDEX ix_messages_lane_delayed ON broker.messages (lane) WHERE state = 'delayed' AND lane IS NOT NULL;

-- Lets through what has room: one of each function and lane in turn, the most urgent first, until nothing has; a
-- thousand at most. Only one caller does so at a time: each statement of a volatile function sees what was committed
-- before it began, so who comes next counts what the one before has let through.
CREATE FUNCTION broker.admit() RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    flow    record;
    room    bigint;
    few     bigint;
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
            SELECT first.* FROM flows CROSS JOIN LATERAL (
                SELECT function_id, lane, lane_places, queue, priority, rank FROM broker.messages AS message
                WHERE state = 'delayed' AND ready_at = 'infinity'
                  AND message.function_id = flows.function_id AND message.lane = flows.lane
                ORDER BY message.priority DESC, message.rank, message.id LIMIT 1
            ) AS first
            ORDER BY first.priority DESC, first.rank
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
            UPDATE broker.messages AS message SET state = 'ready', ready_at = now(), rank = coalesce(
                greatest(
                    (SELECT rank FROM broker.messages
                     WHERE queue = flow.queue AND priority = flow.priority AND state = 'ready'
                     ORDER BY rank LIMIT 1),
                    (SELECT rank FROM broker.messages
                     WHERE queue = flow.queue AND priority = flow.priority AND lane = flow.lane AND state = 'ready'
                     ORDER BY rank DESC LIMIT 1)
                ) + place, nextval('broker.messages_id_seq'))
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
            PERFORM pg_notify(broker.channel_of(flow.queue), '')
            WHERE few > 0 AND EXISTS (SELECT FROM broker.consumers WHERE idle AND flow.queue = ANY (queues));
        END LOOP;
        EXIT WHEN through = before OR through >= 1000;
    END LOOP;
    RETURN through;
END $$;
"""

OPEN = """
DROP FUNCTION broker.admit();
UPDATE broker.messages SET state = 'ready', ready_at = now() WHERE state = 'delayed' AND ready_at = 'infinity';
DROP INDEX broker.ix_messages_held, broker.ix_messages_through_function, broker.ix_messages_through_lane,
    broker.ix_messages_lane_delayed;
ALTER TABLE broker.messages DROP COLUMN gated, DROP COLUMN lane_places;
DROP TABLE broker.gates;
ALTER TABLE api_keys DROP COLUMN executions_per_minute;
ALTER TABLE functions DROP COLUMN executions_per_minute, DROP COLUMN concurrency;
"""


def upgrade() -> None:
    op.execute(RATES)
    op.execute(GATES)


def downgrade() -> None:
    op.execute(OPEN)
