"""Who somebody is elsewhere, sign-ins that have begun there, and where memberships come from."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

IDENTITIES = """
CREATE TABLE identities (
    id           uuid CONSTRAINT pk_identities PRIMARY KEY,
    user_id      uuid NOT NULL CONSTRAINT fk_identities_user_id REFERENCES users (id) ON DELETE CASCADE,
    issuer       text NOT NULL,
    subject      text NOT NULL,
    created_at   timestamptz NOT NULL,
    last_used_at timestamptz,
    CONSTRAINT uq_identities_issuer_subject UNIQUE (issuer, subject)
);
CREATE INDEX ix_identities_user_id ON identities (user_id);

CREATE TABLE begun_sign_ins (
    digest       bytea CONSTRAINT pk_begun_sign_ins PRIMARY KEY,
    provider     text NOT NULL,
    next_address text NOT NULL,
    session_id   uuid CONSTRAINT fk_begun_sign_ins_session_id REFERENCES sessions (id) ON DELETE CASCADE,
    expires_at   timestamptz NOT NULL
);
CREATE INDEX ix_begun_sign_ins_session_id ON begun_sign_ins (session_id);

ALTER TABLE sessions ADD COLUMN identity_id uuid
    CONSTRAINT fk_sessions_identity_id REFERENCES identities (id) ON DELETE CASCADE;
CREATE INDEX ix_sessions_identity_id ON sessions (identity_id);

ALTER TABLE memberships ADD COLUMN issuer text;
COMMENT ON COLUMN memberships.issuer IS 'whose claim it follows; null where somebody here has made it';
"""


def upgrade() -> None:
    op.execute(IDENTITIES)


def downgrade() -> None:
    op.execute("ALTER TABLE memberships DROP COLUMN issuer")
    op.execute("ALTER TABLE sessions DROP COLUMN identity_id")
    op.execute("DROP TABLE begun_sign_ins")
    op.execute("DROP TABLE identities")
