"""A token for each lease, so that a claim need not be on disk before its message is worked on."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

UPGRADE = """
ALTER TABLE broker.messages ADD COLUMN token integer;
COMMENT ON COLUMN broker.messages.token IS 'Made by chance with every claim; with the id it holds the lease';
COMMENT ON COLUMN broker.messages.deliveries IS 'Times claimed';
"""

DOWNGRADE = """
COMMENT ON COLUMN broker.messages.deliveries IS 'Times claimed; with the id it is the lease token';
ALTER TABLE broker.messages DROP COLUMN token;
"""


def upgrade() -> None:
    op.execute(UPGRADE)


def downgrade() -> None:
    op.execute(DOWNGRADE)
