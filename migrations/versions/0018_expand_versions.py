"""Which version is active by whose choice, names for versions, and the end of old ones."""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

CHOOSING = """
ALTER TABLE functions ADD COLUMN decided_version integer NOT NULL DEFAULT 0;
COMMENT ON COLUMN functions.decided_version IS
    'up to which versions it is decided which is the active one: only later ones become it by being READY';
UPDATE functions SET decided_version = active_version WHERE active_version IS NOT NULL;

ALTER TABLE versions ADD COLUMN retired_at timestamptz;
COMMENT ON COLUMN versions.retired_at IS 'since when it is not there for anybody any more; the row goes later';

CREATE TABLE aliases (
    function_id  uuid CONSTRAINT fk_aliases_function_id REFERENCES functions (id) ON DELETE CASCADE,
    name         text,
    version      integer NOT NULL,
    next_version integer,
    next_weight  double precision,
    updated_at   timestamptz NOT NULL,
    CONSTRAINT pk_aliases PRIMARY KEY (function_id, name),
    CONSTRAINT fk_aliases_function_id_version FOREIGN KEY (function_id, version)
        REFERENCES versions (function_id, number),
    CONSTRAINT fk_aliases_function_id_next_version FOREIGN KEY (function_id, next_version)
        REFERENCES versions (function_id, number),
    CONSTRAINT ck_aliases_next_has_weight CHECK ((next_version IS NULL) = (next_weight IS NULL)),
    CONSTRAINT ck_aliases_weight CHECK (next_weight BETWEEN 0 AND 100)
);
CREATE INDEX ix_aliases_version ON aliases (function_id, version);
CREATE INDEX ix_aliases_next_version ON aliases (function_id, next_version);
"""


def upgrade() -> None:
    op.execute(CHOOSING)


def downgrade() -> None:
    op.execute("DROP TABLE aliases")
    op.execute("ALTER TABLE versions DROP COLUMN retired_at")
    op.execute("ALTER TABLE functions DROP COLUMN decided_version")
