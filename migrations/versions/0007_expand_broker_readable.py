"""Messages with characters that PostgreSQL keeps within JSON and cannot show, for people and for our own statements."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

READABLE = r"""
-- `->`, `->>` and their like decode every escape of a whole document, and fail for a NUL and for half a surrogate pair,
-- wherever they stand.
CREATE FUNCTION broker.readable(document json) RETURNS json LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN document::text !~* '\\u(0000|d[89a-f])' THEN document ELSE regexp_replace(
        -- From here on a backslash before a "u" is an escape.
        replace(document::text, '\\', '\u005c'),
        '\\u0000|\\ud[89ab]..(?!\\ud[c-f])|(?<!\\ud[89ab]..)\\ud[c-f]..', '\\ufffd', 'gi'
    )::json END
$$;
COMMENT ON FUNCTION broker.readable IS 'The same, with U+FFFD for NULs and halves of surrogate pairs';
"""

VIEWS = """
CREATE OR REPLACE VIEW broker.in_flight AS
SELECT id, queue, holder, priority, deliveries, losses, function_id, execution_id,
       {document} #>> '{{headers,task}}' AS task, now() - enqueued_at AS age, ready_at - now() AS lease_left
FROM broker.messages WHERE state = 'leased';

CREATE OR REPLACE VIEW broker.dead AS
SELECT id, queue, dead_reason AS reason, died_at, deliveries, losses, requeues, function_id, execution_id,
       {document} #>> '{{headers,task}}' AS task, enqueued_at, payload
FROM broker.messages WHERE state = 'dead';
"""


def upgrade() -> None:
    op.execute(READABLE)
    op.execute(VIEWS.format(document="broker.readable(payload)"))


def downgrade() -> None:
    op.execute(VIEWS.format(document="payload"))
    op.execute("DROP FUNCTION broker.readable")
