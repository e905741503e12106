"""Consumers by what they are and not by what they are called, present for as long as their sessions last."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

CONSUMERS = """
ALTER TABLE broker.consumers ADD COLUMN node text;
COMMENT ON COLUMN broker.consumers.name IS 'What leases are held by: no two processes have the same, ever';
COMMENT ON COLUMN broker.consumers.node IS 'What operators call it; several may be called the same';

CREATE FUNCTION broker.node_of(consumer text) RETURNS text LANGUAGE sql STABLE AS
    'SELECT coalesce((SELECT node FROM broker.consumers WHERE name = consumer), consumer)';
COMMENT ON FUNCTION broker.node_of IS 'What operators call a consumer: its node, or its name where it has none';
"""

PRESENT = """
-- The advisory lock that a consumer's session holds has these two keys: "kiln", and this.
CREATE FUNCTION broker.presence_key(consumer text) RETURNS integer LANGUAGE sql IMMUTABLE AS
    'SELECT hashtext(consumer)';

CREATE VIEW broker.present_consumers AS
SELECT name, node, queues, idle, started_at, seen_at FROM broker.consumers
WHERE seen_at > now() - interval '15 seconds' OR broker.presence_key(name)::oid IN (
    SELECT objid FROM pg_locks
    WHERE locktype = 'advisory' AND classid = 1802071150 AND objsubid = 2 AND granted
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
);
COMMENT ON VIEW broker.present_consumers IS 'Who consumes: whose session lasts, or was just seen';
"""

IN_FLIGHT = """
CREATE OR REPLACE VIEW broker.in_flight AS
SELECT id, queue, {holder} AS holder, priority, deliveries, losses, function_id, execution_id,
       broker.readable(payload) #>> '{{headers,task}}' AS task, now() - enqueued_at AS age,
       ready_at - now() AS lease_left
FROM broker.messages WHERE state = 'leased';
"""


def upgrade() -> None:
    op.execute(CONSUMERS)
    op.execute(PRESENT)
    op.execute(IN_FLIGHT.format(holder="broker.node_of(holder)"))


def downgrade() -> None:
    op.execute(IN_FLIGHT.format(holder="holder"))
    op.execute("DROP VIEW broker.present_consumers")
    op.execute("DROP FUNCTION broker.presence_key, broker.node_of")
    op.execute("ALTER TABLE broker.consumers DROP COLUMN node")
