"""What each compile worker can compile."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

COMPILERS = """
CREATE TABLE compilers (
    worker      text NOT NULL,
    language    text NOT NULL,
    state       text NOT NULL,
    reason      text,
    version     text NOT NULL,
    reported_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_compilers PRIMARY KEY (worker, language),
    CONSTRAINT ck_compilers_state CHECK (state IN ('ready', 'preparing', 'missing'))
);
"""


def upgrade() -> None:
    op.execute(COMPILERS)


def downgrade() -> None:
    op.execute("DROP TABLE compilers")
