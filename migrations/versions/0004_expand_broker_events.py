"""What happened to workers and tasks, kept: an append-only log with a partition for every day."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

EVENTS = """
CREATE SEQUENCE broker.event_batches;
CREATE TABLE broker.events (
    id      bigint NOT NULL DEFAULT nextval('broker.event_batches') << 16,
    kept_at timestamptz NOT NULL DEFAULT now(),
    type    text NOT NULL,
    worker  text,
    task_id text,
    event   json NOT NULL
) PARTITION BY RANGE (kept_at);
ALTER SEQUENCE broker.event_batches OWNED BY broker.events.id;

COMMENT ON TABLE broker.events IS 'Celery''s events as they were written; old days are dropped whole';
COMMENT ON COLUMN broker.events.id IS 'Number of its batch, then 16 bits for its place there';
COMMENT ON COLUMN broker.events.worker IS 'The node that it happened on';
COMMENT ON COLUMN broker.events.task_id IS 'The task that it happened to; of an execution, its id';

CREATE INDEX ix_events_id ON broker.events (id);
CREATE INDEX ix_events_task ON broker.events (task_id, id) WHERE task_id IS NOT NULL;

-- Events whose day has no partition yet land here rather than nowhere.
CREATE TABLE broker.events_default PARTITION OF broker.events DEFAULT;

CREATE FUNCTION broker.create_events_partition(day date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    name text := 'events_' || to_char(day, 'YYYY_MM_DD');
BEGIN
    IF to_regclass('broker.' || name) IS NULL THEN
        EXECUTE format(
            'CREATE TABLE broker.%I PARTITION OF broker.events FOR VALUES FROM (%L) TO (%L)',
            name, day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC'
        );
    END IF;
END $$;

-- Drops the partitions of whole days before `first_day`; answers how many.
CREATE FUNCTION broker.drop_events_before(first_day date) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    name    text;
    dropped integer := 0;
BEGIN
    FOR name IN
        SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
        WHERE inhparent = 'broker.events'::regclass AND relname ~ '^events_\\d{4}_\\d\\d_\\d\\d$'
          AND to_date(substr(relname, 8), 'YYYY_MM_DD') < first_day
    LOOP
        EXECUTE format('DROP TABLE broker.%I', name);
        dropped := dropped + 1;
    END LOOP;
    DELETE FROM broker.events_default WHERE kept_at < first_day::timestamp AT TIME ZONE 'UTC';
    RETURN dropped;
END $$;

SELECT broker.create_events_partition((now() AT TIME ZONE 'UTC')::date + ahead) FROM generate_series(0, 2) AS ahead;
"""


def upgrade() -> None:
    op.execute(EVENTS)


def downgrade() -> None:
    op.execute("DROP TABLE broker.events")
    op.execute("DROP FUNCTION broker.create_events_partition, broker.drop_events_before")
