"""Exchanges, so that every process knows their types; the channels of queues, so that statements may wake; indexes from
which a queue of a million messages is measured and emptied without reading them.
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

EXCHANGES = """
CREATE TABLE broker.exchanges (
    name        text PRIMARY KEY,
    type        text NOT NULL,
    declared_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT ck_exchanges_type CHECK (type IN ('direct', 'topic', 'fanout'))
);
COMMENT ON TABLE broker.exchanges IS 'What messages are published to; the bindings say which queues they reach';

-- AMQP has these from the beginning, and nobody declares them.
INSERT INTO broker.exchanges (name, type)
VALUES ('amq.direct', 'direct'), ('amq.topic', 'topic'), ('amq.fanout', 'fanout');
"""

CHANNEL_OF = """
-- The same as app.broker.link.channel_of: PostgreSQL takes names of at most 63 bytes.
CREATE FUNCTION broker.channel_of(queue text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN octet_length(convert_to('broker.' || queue, 'UTF8')) <= 63 THEN 'broker.' || queue
                ELSE 'broker.' || left(encode(sha256(convert_to(queue, 'UTF8')), 'hex'), 40) END
$$;
"""

INDEXES = """
-- A row is in one of these at a time. What they include lets a queue be counted and emptied from them alone: before,
-- each deleted reply queue and each look at the depths read the whole table.
DROP INDEX broker.ix_messages_ready, broker.ix_messages_due;
-- (id + 0) is an order that no other index has: where all messages have one priority, the planner would look for those
-- of the other nine along the primary key, through all there are.
CREATE INDEX ix_messages_ready ON broker.messages (queue, priority DESC, (id + 0)) INCLUDE (id, ready_at)
    WHERE state = 'ready';
CREATE INDEX ix_messages_delayed ON broker.messages (ready_at) INCLUDE (queue, id) WHERE state = 'delayed';
CREATE INDEX ix_messages_leased ON broker.messages (ready_at) INCLUDE (queue, id) WHERE state = 'leased';

-- An empty queue keeps its pages: giving them back locks everybody out, and a table of one page is one that the planner
-- reads whole, also later, when it has grown.
ALTER TABLE broker.messages SET (vacuum_truncate = false);

-- What workers say of themselves, among the many events of tasks.
CREATE INDEX ix_events_of_workers ON broker.events (kept_at) WHERE task_id IS NULL;
"""

DEPTH = """
CREATE OR REPLACE VIEW broker.queue_depth AS
SELECT queue, sum(ready)::bigint AS ready, sum(delayed)::bigint AS delayed, sum(leased)::bigint AS leased,
       sum(dead)::bigint AS dead, now() - min(oldest) AS oldest_waits,
       (SELECT count(*) FROM broker.consumers
        WHERE counted.queue = ANY (queues) AND seen_at > now() - interval '15 seconds') AS consumers
FROM (
    SELECT queue, count(*) AS ready, 0 AS delayed, 0 AS leased, 0 AS dead, min(ready_at) AS oldest
    FROM broker.messages WHERE state = 'ready' GROUP BY queue
    UNION ALL
    SELECT queue, 0, count(*), 0, 0, NULL FROM broker.messages WHERE state = 'delayed' GROUP BY queue
    UNION ALL
    SELECT queue, 0, 0, count(*), 0, NULL FROM broker.messages WHERE state = 'leased' GROUP BY queue
    UNION ALL
    SELECT queue, 0, 0, 0, count(*), NULL FROM broker.messages WHERE state = 'dead' GROUP BY queue
) AS counted GROUP BY queue;
"""

FORMER_DEPTH = """
CREATE OR REPLACE VIEW broker.queue_depth AS
SELECT queue,
       count(*) FILTER (WHERE state = 'ready') AS ready,
       count(*) FILTER (WHERE state = 'delayed') AS delayed,
       count(*) FILTER (WHERE state = 'leased') AS leased,
       count(*) FILTER (WHERE state = 'dead') AS dead,
       now() - min(ready_at) FILTER (WHERE state = 'ready') AS oldest_waits,
       (SELECT count(*) FROM broker.consumers
        WHERE messages.queue = ANY (queues) AND seen_at > now() - interval '15 seconds') AS consumers
FROM broker.messages GROUP BY queue;
"""

FORMER_INDEXES = """
ALTER TABLE broker.messages RESET (vacuum_truncate);
DROP INDEX broker.ix_events_of_workers, broker.ix_messages_ready, broker.ix_messages_delayed, broker.ix_messages_leased;
CREATE INDEX ix_messages_ready ON broker.messages (queue, priority DESC, id) WHERE state = 'ready';
CREATE INDEX ix_messages_due ON broker.messages (ready_at) WHERE state IN ('delayed', 'leased');
"""


def upgrade() -> None:
    for statement in (EXCHANGES, CHANNEL_OF, INDEXES, DEPTH):
        op.execute(statement)


def downgrade() -> None:
    op.execute(FORMER_DEPTH)
    op.execute(FORMER_INDEXES)
    op.execute("DROP FUNCTION broker.channel_of")
    op.execute("DROP TABLE broker.exchanges")
