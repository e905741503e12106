"""The life of a message: time to live, delay, dead letters; queues that end by themselves; what operators read."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

MESSAGES = """
ALTER TABLE broker.messages
    ADD COLUMN requeues integer NOT NULL DEFAULT 0,
    ADD COLUMN expires_at timestamptz,
    ADD COLUMN dead_reason text,
    ADD COLUMN died_at timestamptz,
    ADD CONSTRAINT ck_messages_dead_has_reason
        CHECK ((state = 'dead') = (dead_reason IS NOT NULL) AND (state = 'dead') = (died_at IS NOT NULL));

COMMENT ON COLUMN broker.messages.requeues IS 'Times its consumer gave it back on purpose';
COMMENT ON COLUMN broker.messages.expires_at IS 'Not delivered after this; NULL lives for ever';
COMMENT ON COLUMN broker.messages.dead_reason IS 'Why it was set aside: worker_lost, requeued, rejected or undecodable';

CREATE INDEX ix_messages_expiring ON broker.messages (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX ix_messages_dead ON broker.messages (queue, id) WHERE state = 'dead';
"""

QUEUES = """
ALTER TABLE broker.queues
    ADD COLUMN message_ttl interval,
    ADD COLUMN expires interval,
    ADD COLUMN auto_delete boolean NOT NULL DEFAULT false,
    ADD COLUMN was_consumed boolean NOT NULL DEFAULT false,
    ADD COLUMN used_at timestamptz NOT NULL DEFAULT now();

COMMENT ON COLUMN broker.queues.message_ttl IS 'How long a message waits in it at most';
COMMENT ON COLUMN broker.queues.expires IS 'Deleted when nobody has consumed from it or declared it for so long';
COMMENT ON COLUMN broker.queues.auto_delete IS 'Deleted when its last consumer has gone';
COMMENT ON COLUMN broker.queues.used_at IS 'When it was last declared or known to be consumed';
"""

CONSUMERS = """
ALTER TABLE broker.consumers ADD COLUMN idle boolean NOT NULL DEFAULT true;
COMMENT ON COLUMN broker.consumers.idle IS 'It found nothing more to do, so that a publisher must wake it';
"""

VIEWS = """
CREATE VIEW broker.queue_depth AS
SELECT queue,
       count(*) FILTER (WHERE state = 'ready') AS ready,
       count(*) FILTER (WHERE state = 'delayed') AS delayed,
       count(*) FILTER (WHERE state = 'leased') AS leased,
       count(*) FILTER (WHERE state = 'dead') AS dead,
       now() - min(ready_at) FILTER (WHERE state = 'ready') AS oldest_waits,
       (SELECT count(*) FROM broker.consumers
        WHERE messages.queue = ANY (queues) AND seen_at > now() - interval '15 seconds') AS consumers
FROM broker.messages GROUP BY queue;
COMMENT ON VIEW broker.queue_depth IS 'How much waits where, and for how long';

CREATE VIEW broker.in_flight AS
SELECT id, queue, holder, priority, deliveries, losses, function_id, execution_id,
       payload #>> '{headers,task}' AS task, now() - enqueued_at AS age, ready_at - now() AS lease_left
FROM broker.messages WHERE state = 'leased';
COMMENT ON VIEW broker.in_flight IS 'What is in whose hands, and how long the lease holds unless renewed';

CREATE VIEW broker.dead AS
SELECT id, queue, dead_reason AS reason, died_at, deliveries, losses, requeues, function_id, execution_id,
       payload #>> '{headers,task}' AS task, enqueued_at, payload
FROM broker.messages WHERE state = 'dead';
COMMENT ON VIEW broker.dead IS 'What was set aside, with the reason and every byte';
"""


def upgrade() -> None:
    op.execute(MESSAGES)
    op.execute(QUEUES)
    op.execute(CONSUMERS)
    op.execute(VIEWS)


def downgrade() -> None:
    op.execute("DROP VIEW broker.queue_depth, broker.in_flight, broker.dead")
    op.execute("DROP INDEX broker.ix_messages_expiring, broker.ix_messages_dead")
    op.execute("DELETE FROM broker.messages WHERE state = 'dead'")
    op.execute(
        "ALTER TABLE broker.messages DROP COLUMN requeues, DROP COLUMN expires_at, DROP COLUMN dead_reason, "
        "DROP COLUMN died_at"
    )
    op.execute(
        "ALTER TABLE broker.queues DROP COLUMN message_ttl, DROP COLUMN expires, DROP COLUMN auto_delete, "
        "DROP COLUMN was_consumed, DROP COLUMN used_at"
    )
    op.execute("ALTER TABLE broker.consumers DROP COLUMN idle")
