"""Exchanges, so that every process knows their types."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

EXCHANGES = """
CREATE TABLE broker.exchanges (
    name        text PRIMARY KEY,
    type        text NOT NULL,
    declared_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT ck_exchanges_type CHECK (type IN ('direct', 'topic', 'fanout'))
);
COMMENT ON TABLE broker.exchanges IS 'What messages are published to; the bindings say which queues they reach';

-- AMQP has these from the beginning, and nobody declares them.
INSERT INTO broker.exchanges (name, type)
VALUES ('amq.direct', 'direct'), ('amq.topic', 'topic'), ('amq.fanout', 'fanout');
"""


def upgrade() -> None:
    op.execute(EXCHANGES)


def downgrade() -> None:
    op.execute("DROP TABLE broker.exchanges")
