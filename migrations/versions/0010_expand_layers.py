"""What makes a module that many functions share one function's own, and which lines a module came from."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

LAYERS = """
CREATE TABLE layers (
    digest     text NOT NULL,
    content    bytea NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT pk_layers PRIMARY KEY (digest)
);
ALTER TABLE versions ADD COLUMN layer_digest text,
    ADD CONSTRAINT fk_versions_layer_digest_layers FOREIGN KEY (layer_digest) REFERENCES layers (digest);
CREATE INDEX ix_versions_layer_digest ON versions (layer_digest);
"""

LINES = "ALTER TABLE versions ADD COLUMN lines bytea"


def upgrade() -> None:
    op.execute(LAYERS)
    op.execute(LINES)


def downgrade() -> None:
    op.execute("ALTER TABLE versions DROP COLUMN lines")
    op.execute("ALTER TABLE versions DROP COLUMN layer_digest")
    op.execute("DROP TABLE layers")
