"""How those who publish to one queue share its consumers: lanes, and a place for every message."""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

LANES = """
ALTER TABLE broker.messages ADD COLUMN lane text, ADD COLUMN rank bigint;
UPDATE broker.messages SET rank = id;
ALTER TABLE broker.messages
    ALTER COLUMN rank SET DEFAULT nextval('broker.messages_id_seq'), ALTER COLUMN rank SET NOT NULL;
COMMENT ON COLUMN broker.messages.lane IS 'Whose it is; those of different lanes take turns';
COMMENT ON COLUMN broker.messages.rank IS 'Its place among those of its queue and priority: the least is claimed first';

-- The workers of the version before, which claim in the order of ids, sort until they are replaced.
DROP INDEX broker.ix_messages_ready;
CREATE INDEX ix_messages_ready ON broker.messages (queue, priority DESC, rank, id) INCLUDE (ready_at)
    WHERE state = 'ready';
CREATE INDEX ix_messages_lane ON broker.messages (lane, queue, priority, rank)
    WHERE state = 'ready' AND lane IS NOT NULL;
"""

ALONE = """
DROP INDEX broker.ix_messages_lane, broker.ix_messages_ready;
CREATE INDEX ix_messages_ready ON broker.messages (queue, priority DESC, (id + 0)) INCLUDE (id, ready_at)
    WHERE state = 'ready';
ALTER TABLE broker.messages DROP COLUMN lane, DROP COLUMN rank;
"""


def upgrade() -> None:
    op.execute(LANES)


def downgrade() -> None:
    op.execute(ALONE)
