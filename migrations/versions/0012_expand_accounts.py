"""Users, groups, sessions, API keys, and what was done by whom."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

PEOPLE = """
CREATE TABLE users (
    id              uuid CONSTRAINT pk_users PRIMARY KEY,
    email           text NOT NULL CONSTRAINT uq_users_email UNIQUE,
    name            text NOT NULL,
    role            text NOT NULL,
    enabled         boolean NOT NULL,
    password        text,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    last_sign_in_at timestamptz,
    CONSTRAINT ck_users_role CHECK (role IN ('ADMIN', 'DEV')),
    CONSTRAINT ck_users_email_is_lower CHECK (email = lower(email))
);

CREATE TABLE groups (
    id          uuid CONSTRAINT pk_groups PRIMARY KEY,
    name        text NOT NULL CONSTRAINT uq_groups_name UNIQUE,
    description text NOT NULL,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL
);

CREATE TABLE memberships (
    group_id   uuid NOT NULL CONSTRAINT fk_memberships_group_id REFERENCES groups (id) ON DELETE CASCADE,
    user_id    uuid NOT NULL CONSTRAINT fk_memberships_user_id REFERENCES users (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL,
    CONSTRAINT pk_memberships PRIMARY KEY (group_id, user_id)
);
CREATE INDEX ix_memberships_user_id ON memberships (user_id);
"""

CREDENTIALS = """
CREATE TABLE sessions (
    id           uuid CONSTRAINT pk_sessions PRIMARY KEY,
    user_id      uuid NOT NULL CONSTRAINT fk_sessions_user_id REFERENCES users (id) ON DELETE CASCADE,
    address      text,
    user_agent   text NOT NULL,
    created_at   timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    is_to_rotate boolean NOT NULL DEFAULT false
);
CREATE INDEX ix_sessions_user_id ON sessions (user_id);

CREATE TABLE api_keys (
    id           uuid CONSTRAINT pk_api_keys PRIMARY KEY,
    user_id      uuid NOT NULL CONSTRAINT fk_api_keys_user_id REFERENCES users (id) ON DELETE CASCADE,
    name         text NOT NULL,
    hint         text NOT NULL,
    scopes       text[] NOT NULL,
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    last_used_at timestamptz,
    rotated_at   timestamptz
);
CREATE INDEX ix_api_keys_user_id ON api_keys (user_id);

CREATE TABLE tokens (
    digest         bytea CONSTRAINT pk_tokens PRIMARY KEY,
    session_id     uuid CONSTRAINT fk_tokens_session_id REFERENCES sessions (id) ON DELETE CASCADE,
    api_key_id     uuid CONSTRAINT fk_tokens_api_key_id REFERENCES api_keys (id) ON DELETE CASCADE,
    replaced_until timestamptz,
    CONSTRAINT ck_tokens_is_one_thing CHECK (num_nonnulls(session_id, api_key_id) = 1)
);
CREATE INDEX ix_tokens_session_id ON tokens (session_id);
CREATE INDEX ix_tokens_api_key_id ON tokens (api_key_id);

CREATE TABLE throttles (
    name   text CONSTRAINT pk_throttles PRIMARY KEY,
    due_at timestamptz NOT NULL DEFAULT now()
);
"""

AUDIT = """
CREATE TABLE audit_events (
    id             uuid NOT NULL,
    at             timestamptz NOT NULL,
    actor_id       uuid,
    actor          text NOT NULL,
    via            text NOT NULL,
    credential_id  uuid,
    address        text,
    correlation_id text,
    action         text NOT NULL,
    resource_id    text,
    outcome        text NOT NULL,
    before         jsonb,
    after          jsonb,
    CONSTRAINT pk_audit_events PRIMARY KEY (id),
    CONSTRAINT ck_audit_events_via CHECK (via IN ('SESSION', 'API_KEY', 'SYSTEM', 'NOTHING')),
    CONSTRAINT ck_audit_events_outcome CHECK (outcome IN ('DONE', 'REFUSED'))
) PARTITION BY RANGE (id);
CREATE INDEX ix_audit_events_actor_id ON audit_events (actor_id, id DESC);
CREATE INDEX ix_audit_events_resource_id ON audit_events (resource_id, id DESC);
CREATE TABLE audit_events_default PARTITION OF audit_events DEFAULT;

-- Not even the tables' owner has these privileges without giving them to itself, and a superuser is stopped, too.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit events are never changed or deleted' USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER audit_events_stay BEFORE UPDATE OR DELETE ON audit_events FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_events_stay_all BEFORE TRUNCATE ON audit_events EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_events_stay_all BEFORE TRUNCATE ON audit_events_default EXECUTE FUNCTION refuse_change();
REVOKE UPDATE, DELETE, TRUNCATE ON audit_events, audit_events_default FROM CURRENT_USER;

CREATE FUNCTION create_audit_partition(month date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    name  text := 'audit_events_' || to_char(month, 'YYYY_MM');
    first timestamp := date_trunc('month', month);
    least uuid := first_id_at(first AT TIME ZONE 'UTC');
    bound uuid := first_id_at((first + interval '1 month') AT TIME ZONE 'UTC');
BEGIN
    IF to_regclass(name) IS NULL THEN
        EXECUTE format('CREATE TABLE %I PARTITION OF audit_events FOR VALUES FROM (%L) TO (%L)', name, least, bound);
        EXECUTE format(
            'CREATE TRIGGER audit_events_stay_all BEFORE TRUNCATE ON %I EXECUTE FUNCTION refuse_change()', name
        );
        EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON %I FROM CURRENT_USER', name);
    END IF;
END
$$;
SELECT create_audit_partition((now() AT TIME ZONE 'UTC')::date);
SELECT create_audit_partition((now() AT TIME ZONE 'UTC' + interval '1 month')::date);

CREATE FUNCTION drop_audit_partitions(kept_days integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    one text;
    dropped integer := 0;
BEGIN
    FOR one IN
        SELECT relid::text FROM pg_partition_tree('audit_events')
        WHERE isleaf AND relid::text ~ '^audit_events_\\d{4}_\\d\\d$'
          AND to_date(right(relid::text, 7), 'YYYY_MM') + interval '1 month' <= now() - make_interval(days => kept_days)
    LOOP
        EXECUTE format('DROP TABLE %I', one);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END
$$;
"""


def upgrade() -> None:
    for statement in (PEOPLE, CREDENTIALS, AUDIT):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP FUNCTION drop_audit_partitions, create_audit_partition")
    op.execute("DROP TABLE audit_events")
    op.execute("DROP FUNCTION refuse_change")
    for table in ("throttles", "tokens", "api_keys", "sessions", "memberships", "groups", "users"):
        op.execute(f"DROP TABLE {table}")
