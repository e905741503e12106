"""Functions with their versions and artifacts; executions, partitioned by the time in their ids."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

FUNCTIONS = """
CREATE TABLE functions (
    id             uuid CONSTRAINT pk_functions PRIMARY KEY,
    name           text NOT NULL,
    description    text NOT NULL,
    timeout_ms     integer NOT NULL,
    memory_mb      integer NOT NULL,
    active_version integer,
    latest_version integer NOT NULL,
    revision       integer NOT NULL,
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL,
    deleted_at     timestamptz,
    CONSTRAINT ck_functions_name CHECK (name ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    CONSTRAINT ck_functions_active_exists CHECK (active_version <= latest_version)
);
-- A deleted function frees its name at once, while its executions are still being removed.
CREATE UNIQUE INDEX uq_functions_name ON functions (name) WHERE deleted_at IS NULL;

CREATE TABLE artifacts (
    digest     text CONSTRAINT pk_artifacts PRIMARY KEY,
    wasm       bytea NOT NULL,
    created_at timestamptz NOT NULL
);

CREATE TABLE native_code (
    digest     text NOT NULL CONSTRAINT fk_native_code_digest REFERENCES artifacts (digest) ON DELETE CASCADE,
    target     text NOT NULL,
    native     bytea NOT NULL,
    mac        bytea NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT pk_native_code PRIMARY KEY (digest, target)
);
ALTER TABLE native_code ALTER COLUMN native SET STORAGE EXTERNAL;
COMMENT ON COLUMN native_code.target IS 'wasmtime version, configuration, processor and key that the code was made for';

CREATE TABLE versions (
    function_id         uuid NOT NULL CONSTRAINT fk_versions_function_id REFERENCES functions (id) ON DELETE CASCADE,
    number              integer NOT NULL,
    language            text NOT NULL,
    source              bytea NOT NULL,
    source_digest       text NOT NULL,
    status              text NOT NULL,
    compile_error       text,
    compile_log         text,
    compile_attempts    integer NOT NULL,
    toolchain           text,
    toolchain_version   text,
    flags               text[],
    artifact_digest     text CONSTRAINT fk_versions_artifact_digest REFERENCES artifacts (digest),
    wasm_bytes          integer,
    native_bytes        integer,
    compile_ms          integer,
    created_at          timestamptz NOT NULL,
    compile_started_at  timestamptz,
    compiled_at         timestamptz,
    CONSTRAINT pk_versions PRIMARY KEY (function_id, number),
    CONSTRAINT ck_versions_status CHECK (status IN ('PENDING', 'COMPILING', 'READY', 'FAILED')),
    CONSTRAINT ck_versions_ready_has_artifact CHECK ((status = 'READY') = (artifact_digest IS NOT NULL)),
    CONSTRAINT ck_versions_failed_has_error CHECK ((status = 'FAILED') = (compile_error IS NOT NULL)),
    CONSTRAINT ck_versions_final_has_time CHECK ((status IN ('READY', 'FAILED')) = (compiled_at IS NOT NULL))
);
CREATE INDEX ix_versions_artifact_digest ON versions (artifact_digest);
"""

EXECUTIONS = """
CREATE TABLE executions (
    id                uuid NOT NULL,
    function_id       uuid NOT NULL,
    version           integer NOT NULL,
    status            text NOT NULL,
    input             json NOT NULL,
    output            json,
    error_type        text,
    error_message     text,
    error_location    text,
    logs              text,
    duration_ms       double precision,
    fuel_used         bigint,
    memory_peak_bytes bigint,
    attempts          integer NOT NULL,
    trigger           text NOT NULL,
    correlation_id    text NOT NULL,
    replay_of         uuid,
    waiter            text,
    created_at        timestamptz NOT NULL,
    started_at        timestamptz,
    completed_at      timestamptz,
    CONSTRAINT pk_executions PRIMARY KEY (id),
    CONSTRAINT ck_executions_status CHECK (status IN ('PENDING', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED')),
    CONSTRAINT ck_executions_error_type CHECK (error_type IN ('FUNCTION_ERROR', 'TRAP', 'TIMEOUT', 'OUT_OF_MEMORY',
        'STACK_OVERFLOW', 'INVALID_OUTPUT', 'OUTPUT_TOO_LARGE', 'EXPIRED', 'WORKER_LOST', 'INFRASTRUCTURE')),
    CONSTRAINT ck_executions_failed_has_error_type CHECK ((status = 'FAILED') = (error_type IS NOT NULL)),
    CONSTRAINT ck_executions_completed_has_output CHECK (status = 'COMPLETED' OR output IS NULL),
    CONSTRAINT ck_executions_final_has_time
        CHECK ((status IN ('COMPLETED', 'FAILED', 'CANCELLED')) = (completed_at IS NOT NULL)),
    CONSTRAINT ck_executions_pending_has_not_started CHECK (status <> 'PENDING' OR started_at IS NULL)
) PARTITION BY RANGE (id);

COMMENT ON COLUMN executions.id IS 'UUIDv7: its first 48 bits are the time, which chooses the partition';
COMMENT ON COLUMN executions.waiter IS 'The channel of the process that waits for the end, if one does';

CREATE INDEX ix_executions_function_id ON executions (function_id, id DESC);
CREATE INDEX ix_executions_correlation_id ON executions (correlation_id);

-- Executions whose month has no partition yet land here rather than nowhere.
CREATE TABLE executions_default PARTITION OF executions DEFAULT WITH (fillfactor = 85);

-- The first 48 bits of a UUIDv7 are milliseconds since 1970 (RFC 9562), so a month is a range of ids.
CREATE FUNCTION first_id_at(moment timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM moment) * 1000)::bigint), 12, '0') || '00000000000000000000')::uuid
$$;

CREATE FUNCTION create_executions_partition(month date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    name  text := 'executions_' || to_char(month, 'YYYY_MM');
    first timestamp := date_trunc('month', month);
    least uuid := first_id_at(first AT TIME ZONE 'UTC');
    bound uuid := first_id_at((first + interval '1 month') AT TIME ZONE 'UTC');
BEGIN
    IF to_regclass(name) IS NULL THEN
        EXECUTE format(
            'CREATE TABLE %I PARTITION OF executions FOR VALUES FROM (%L) TO (%L) WITH (fillfactor = 85)',
            name, least, bound
        );
    END IF;
END $$;

SELECT create_executions_partition((now() AT TIME ZONE 'UTC')::date);
SELECT create_executions_partition((now() AT TIME ZONE 'UTC' + interval '1 month')::date);
"""


def upgrade() -> None:
    op.execute(FUNCTIONS)
    op.execute(EXECUTIONS)


def downgrade() -> None:
    op.execute("DROP TABLE executions, versions, native_code, artifacts, functions")
    op.execute("DROP FUNCTION create_executions_partition, first_id_at")
