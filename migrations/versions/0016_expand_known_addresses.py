"""Where users have signed in from, for longer than their sessions last."""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

KNOWN_ADDRESSES = """
CREATE TABLE known_addresses (
    user_id      uuid NOT NULL CONSTRAINT fk_known_addresses_user_id REFERENCES users (id) ON DELETE CASCADE,
    bucket       text NOT NULL,
    last_used_at timestamptz NOT NULL,
    CONSTRAINT pk_known_addresses PRIMARY KEY (user_id, bucket)
);
COMMENT ON COLUMN known_addresses.bucket IS 'what counts as one address where attempts are counted';
"""


def upgrade() -> None:
    op.execute(KNOWN_ADDRESSES)


def downgrade() -> None:
    op.execute("DROP TABLE known_addresses")
