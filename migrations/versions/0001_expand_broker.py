"""The broker's schema: messages, the exchanges' bindings, and who consumes."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SCHEMA = """
CREATE SCHEMA broker;

CREATE TABLE broker.messages (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    queue        text NOT NULL,
    state        text NOT NULL DEFAULT 'ready',
    priority     smallint NOT NULL DEFAULT 0,
    deliveries   integer NOT NULL DEFAULT 0,
    losses       integer NOT NULL DEFAULT 0,
    holder       text,
    enqueued_at  timestamptz NOT NULL DEFAULT now(),
    ready_at     timestamptz NOT NULL DEFAULT now(),
    function_id  uuid,
    execution_id uuid,
    payload      json NOT NULL,
    CONSTRAINT ck_messages_state CHECK (state IN ('ready', 'delayed', 'leased', 'dead')),
    CONSTRAINT ck_messages_leased_has_holder CHECK ((state = 'leased') = (holder IS NOT NULL)),
    CONSTRAINT ck_messages_priority CHECK (priority BETWEEN 0 AND 9)
) WITH (
    -- Claims rewrite each row once, so pages keep room for it; dead rows are swept as soon as there are some hundreds.
    fillfactor = 70,
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 5000
);

COMMENT ON TABLE broker.messages IS 'What waits for a worker or is in its hands; a finished message is deleted';
COMMENT ON COLUMN broker.messages.state IS 'ready to be claimed, delayed or leased until ready_at, or dead: set aside';
COMMENT ON COLUMN broker.messages.priority IS '9 is claimed first, 0 last';
COMMENT ON COLUMN broker.messages.deliveries IS 'Times claimed; with the id it is the lease token';
COMMENT ON COLUMN broker.messages.losses IS 'Leases that ran out because a worker died';
COMMENT ON COLUMN broker.messages.holder IS 'The consumer that holds the lease';
COMMENT ON COLUMN broker.messages.ready_at IS 'When it became, or becomes, ready: the end of a delay or of a lease';

-- Leased and delayed rows are in no claim's way.
CREATE INDEX ix_messages_ready ON broker.messages (queue, priority DESC, id) WHERE state = 'ready';
CREATE INDEX ix_messages_due ON broker.messages (ready_at) WHERE state IN ('delayed', 'leased');
CREATE INDEX ix_messages_function ON broker.messages (function_id) WHERE function_id IS NOT NULL;

CREATE TABLE broker.queues (
    name        text PRIMARY KEY,
    declared_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE broker.bindings (
    exchange    text NOT NULL,
    routing_key text NOT NULL,
    pattern     text NOT NULL,
    queue       text NOT NULL,
    PRIMARY KEY (exchange, routing_key, queue)
);
CREATE INDEX ix_bindings_queue ON broker.bindings (queue);

CREATE UNLOGGED TABLE broker.consumers (
    name       text PRIMARY KEY,
    queues     text[] NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    seen_at    timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE broker.consumers IS 'Who consumes now: renewed every few seconds, lost with a crash of the server';
"""


def upgrade() -> None:
    op.execute(SCHEMA)


def downgrade() -> None:
    op.execute("DROP SCHEMA broker CASCADE")
