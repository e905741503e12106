"""Months of the audit that are made after their first event came."""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

#: An event that comes before its month's partition lies in the default one, and stands in that month's way. Nothing is
#: deleted there, so the default partition is made anew, and what lay in it is written again: to the months that it
#: belongs to by now, or to the new one. Whoever waits for the table waits for a moment, or this comes again later.
CREATE = """
CREATE FUNCTION protect_audit_partition(one text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format(
        'CREATE TRIGGER audit_events_stay_all BEFORE TRUNCATE ON %I EXECUTE FUNCTION refuse_change()', one
    );
    EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON %I FROM CURRENT_USER', one);
END
$$;

CREATE OR REPLACE FUNCTION create_audit_partition(month date) RETURNS void LANGUAGE plpgsql SET lock_timeout = '4s'
AS $$
DECLARE
    name  text := 'audit_events_' || to_char(month, 'YYYY_MM');
    first timestamp := date_trunc('month', month);
    least uuid := first_id_at(first AT TIME ZONE 'UTC');
    bound uuid := first_id_at((first + interval '1 month') AT TIME ZONE 'UTC');
    early boolean;
BEGIN
    IF to_regclass(name) IS NOT NULL THEN
        RETURN;
    END IF;
    early := EXISTS (SELECT FROM audit_events_default WHERE id >= least AND id < bound);
    IF early THEN
        ALTER TABLE audit_events DETACH PARTITION audit_events_default;
        ALTER TABLE audit_events_default RENAME TO audit_events_early;
        CREATE TABLE audit_events_default PARTITION OF audit_events DEFAULT;
        PERFORM protect_audit_partition('audit_events_default');
    END IF;
    EXECUTE format('CREATE TABLE %I PARTITION OF audit_events FOR VALUES FROM (%L) TO (%L)', name, least, bound);
    PERFORM protect_audit_partition(name);
    IF early THEN
        INSERT INTO audit_events SELECT * FROM audit_events_early;
        DROP TABLE audit_events_early;
    END IF;
END
$$;
"""

BEFORE = """
CREATE OR REPLACE FUNCTION create_audit_partition(month date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    name  text := 'audit_events_' || to_char(month, 'YYYY_MM');
    first timestamp := date_trunc('month', month);
    least uuid := first_id_at(first AT TIME ZONE 'UTC');
    bound uuid := first_id_at((first + interval '1 month') AT TIME ZONE 'UTC');
BEGIN
    IF to_regclass(name) IS NULL THEN
        EXECUTE format('CREATE TABLE %I PARTITION OF audit_events FOR VALUES FROM (%L) TO (%L)', name, least, bound);
        EXECUTE format(
            'CREATE TRIGGER audit_events_stay_all BEFORE TRUNCATE ON %I EXECUTE FUNCTION refuse_change()', name
        );
        EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON %I FROM CURRENT_USER', name);
    END IF;
END
$$;
DROP FUNCTION protect_audit_partition;
"""


def upgrade() -> None:
    op.execute(CREATE)


def downgrade() -> None:
    op.execute(BEFORE)
