"""Variables and secrets that functions are given."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

ENVIRONMENTS = """
CREATE TABLE environments (
    id             uuid CONSTRAINT pk_environments PRIMARY KEY,
    name           text NOT NULL CONSTRAINT uq_environments_name UNIQUE,
    description    text NOT NULL,
    revision       integer NOT NULL,
    writes         integer NOT NULL,
    data_key       bytea NOT NULL,
    master_key     text NOT NULL,
    allowed_users  uuid[] NOT NULL DEFAULT '{}',
    allowed_groups uuid[] NOT NULL DEFAULT '{}',
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL,
    CONSTRAINT ck_environments_name CHECK (name ~ '^[a-z0-9][a-z0-9-]{0,62}$')
);
CREATE INDEX ix_environments_master_key ON environments (master_key);
COMMENT ON COLUMN environments.allowed_users IS
    'users, and those who were: a list that named only somebody who is gone is not empty, which would be everybody';

CREATE TABLE environment_entries (
    environment_id uuid NOT NULL
        CONSTRAINT fk_environment_entries_environment_id REFERENCES environments (id) ON DELETE CASCADE,
    key            text NOT NULL,
    value          text,
    sealed         bytea,
    version        integer NOT NULL,
    CONSTRAINT pk_environment_entries PRIMARY KEY (environment_id, key),
    CONSTRAINT ck_environment_entries_is_one_thing CHECK (num_nonnulls(value, sealed) = 1)
);
"""

USE = """
ALTER TABLE functions
    ADD COLUMN environment_id uuid CONSTRAINT fk_functions_environment_id REFERENCES environments (id);
CREATE INDEX ix_functions_environment_id ON functions (environment_id);
ALTER TABLE executions ADD COLUMN environment_revision integer;
"""


def upgrade() -> None:
    for statement in (ENVIRONMENTS, USE):
        op.execute(statement)


def downgrade() -> None:
    op.execute("ALTER TABLE executions DROP COLUMN environment_revision")
    op.execute("ALTER TABLE functions DROP COLUMN environment_id")
    op.execute("DROP TABLE environment_entries, environments")
