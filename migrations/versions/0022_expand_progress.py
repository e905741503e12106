"""How far an execution has come, as its function says."""

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE executions ADD COLUMN progress jsonb")
    op.execute(
        "COMMENT ON COLUMN executions.progress IS 'how far the latest attempt has come, as the function says: percent, "
        "message, and when it said so'"
    )


def downgrade() -> None:
    op.execute("ALTER TABLE executions DROP COLUMN progress")
