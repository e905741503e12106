"""What came of building a version again."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

VERIFICATIONS = """
ALTER TABLE versions
    ADD COLUMN verification        text,
    ADD COLUMN verification_id     uuid,
    ADD COLUMN verified_at         timestamptz,
    ADD COLUMN verification_reason text,
    ADD COLUMN rebuilt             json,
    ADD CONSTRAINT ck_versions_verification CHECK (verification IN ('PENDING', 'MATCHES', 'DIFFERS', 'FAILED')),
    ADD CONSTRAINT ck_versions_verified_is_ready CHECK (verification IS NULL OR status = 'READY'),
    ADD CONSTRAINT ck_versions_verification_has_id CHECK ((verification IS NULL) = (verification_id IS NULL)),
    ADD CONSTRAINT ck_versions_verified_has_time
        CHECK ((coalesce(verification, 'PENDING') = 'PENDING') = (verified_at IS NULL));
CREATE UNIQUE INDEX uq_versions_verification_id ON versions (verification_id);
"""

COLUMNS = ("verification", "verification_id", "verified_at", "verification_reason", "rebuilt")


def upgrade() -> None:
    op.execute(VERIFICATIONS)


def downgrade() -> None:
    for column in COLUMNS:
        op.execute(f"ALTER TABLE versions DROP COLUMN {column}")
