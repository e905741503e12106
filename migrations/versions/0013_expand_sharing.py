"""Whose a function is, and with whom it is shared."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

SHARING = """
ALTER TABLE functions
    ADD COLUMN owner_id       uuid CONSTRAINT fk_functions_owner_id REFERENCES users (id) ON DELETE SET NULL,
    ADD COLUMN allowed_users  uuid[] NOT NULL DEFAULT '{}',
    ADD COLUMN allowed_groups uuid[] NOT NULL DEFAULT '{}';
CREATE INDEX ix_functions_owner_id ON functions (owner_id);
COMMENT ON COLUMN functions.allowed_users IS
    'users, and those who were: a list that named only somebody who is gone is not empty, which would be everybody';

-- For lists: who may see which function, newest first. The nil UUID stands for everybody.
CREATE TABLE function_audiences (
    audience_id uuid NOT NULL,
    function_id uuid NOT NULL CONSTRAINT fk_function_audiences_function_id REFERENCES functions (id) ON DELETE CASCADE,
    CONSTRAINT pk_function_audiences PRIMARY KEY (audience_id, function_id)
);
CREATE INDEX ix_function_audiences_function_id ON function_audiences (function_id);

CREATE FUNCTION keep_function_audiences() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        DELETE FROM function_audiences WHERE function_id = NEW.id;
    END IF;
    IF NEW.deleted_at IS NULL THEN
        INSERT INTO function_audiences (audience_id, function_id)
        SELECT DISTINCT audience_id, NEW.id
        FROM unnest(
            CASE WHEN cardinality(NEW.allowed_users || NEW.allowed_groups) = 0
            THEN ARRAY['00000000-0000-0000-0000-000000000000'::uuid] ELSE NEW.allowed_users || NEW.allowed_groups END
        ) AS audience_id;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER function_audiences AFTER INSERT OR UPDATE OF allowed_users, allowed_groups, deleted_at ON functions
    FOR EACH ROW EXECUTE FUNCTION keep_function_audiences();
INSERT INTO function_audiences (audience_id, function_id)
    SELECT '00000000-0000-0000-0000-000000000000', id FROM functions WHERE deleted_at IS NULL;
"""


def upgrade() -> None:
    op.execute(SHARING)


def downgrade() -> None:
    op.execute("DROP TRIGGER function_audiences ON functions")
    op.execute("DROP FUNCTION keep_function_audiences")
    op.execute("DROP TABLE function_audiences")
    for column in ("owner_id", "allowed_users", "allowed_groups"):
        op.execute(f"ALTER TABLE functions DROP COLUMN {column}")
