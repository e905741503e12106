"""Who asked for an execution and how: its urgency, its time, its earlier attempts; the keys of requests that are sent
again; what a function's failures are tried again for.
"""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

EXECUTIONS = """
ALTER TABLE executions
    ADD COLUMN caller_id uuid,
    ADD COLUMN priority text NOT NULL DEFAULT 'NORMAL' CONSTRAINT ck_executions_priority
        CHECK (priority IN ('HIGH', 'NORMAL', 'LOW')),
    ADD COLUMN not_before timestamptz,
    ADD COLUMN expires_at timestamptz,
    ADD COLUMN retries integer NOT NULL DEFAULT 0,
    ADD COLUMN worker text,
    ADD COLUMN earlier_attempts jsonb;
COMMENT ON COLUMN executions.caller_id IS 'the user who asked for it';
COMMENT ON COLUMN executions.not_before IS 'when it may begin at the earliest';
COMMENT ON COLUMN executions.expires_at IS 'when it ends as EXPIRED unless a worker has taken it';
COMMENT ON COLUMN executions.retries IS 'attempts that failed by the function''s doing and were followed by another';
COMMENT ON COLUMN executions.worker IS 'the consumer that claimed the latest attempt';
COMMENT ON COLUMN executions.earlier_attempts IS 'what became of all attempts but the latest, the first one first';

ALTER TABLE functions ADD COLUMN retry jsonb;
COMMENT ON COLUMN functions.retry IS 'how often, when, and for which errors it is tried again';
"""

KEYS = """
CREATE TABLE idempotency_keys (
    user_id       uuid,
    key           text,
    digest        bytea NOT NULL,
    execution_ids uuid[] NOT NULL,
    created_at    timestamptz NOT NULL,
    CONSTRAINT pk_idempotency_keys PRIMARY KEY (user_id, key)
);
COMMENT ON COLUMN idempotency_keys.digest IS 'of the request';
CREATE INDEX ix_idempotency_keys_created_at ON idempotency_keys (created_at);
"""


def upgrade() -> None:
    op.execute(EXECUTIONS)
    op.execute(KEYS)


def downgrade() -> None:
    op.execute("DROP TABLE idempotency_keys")
    op.execute("ALTER TABLE functions DROP COLUMN retry")
    op.execute(
        "ALTER TABLE executions DROP COLUMN caller_id, DROP COLUMN priority, DROP COLUMN not_before, "
        "DROP COLUMN expires_at, DROP COLUMN retries, DROP COLUMN worker, DROP COLUMN earlier_attempts"
    )
