"""Exchanges, so that every process knows their types; the channels of queues, so that statements may wake."""

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

CHANNEL_OF = """
-- The same as app.broker.link.channel_of: PostgreSQL takes names of at most 63 bytes.
CREATE FUNCTION broker.channel_of(queue text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN octet_length(convert_to('broker.' || queue, 'UTF8')) <= 63 THEN 'broker.' || queue
                ELSE 'broker.' || left(encode(sha256(convert_to(queue, 'UTF8')), 'hex'), 40) END
$$;
"""


def upgrade() -> None:
    op.execute(EXCHANGES)
    op.execute(CHANNEL_OF)


def downgrade() -> None:
    op.execute("DROP FUNCTION broker.channel_of")
    op.execute("DROP TABLE broker.exchanges")
