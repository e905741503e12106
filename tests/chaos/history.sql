-- A witness in the test's database: it writes down every change of an execution's status or attempts, and refuses none.
-- An attempt that was given back unbegun is `returned`, and counts as none.
CREATE SCHEMA chaos;

CREATE TABLE chaos.history (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    execution_id uuid NOT NULL,
    was          text,
    status       text NOT NULL,
    attempts     integer NOT NULL,
    returned     boolean NOT NULL,
    by           text NOT NULL DEFAULT current_setting('application_name')
);
CREATE INDEX ON chaos.history (execution_id, id);

CREATE FUNCTION chaos.witness() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO chaos.history (execution_id, was, status, attempts, returned)
    VALUES (NEW.id, CASE WHEN TG_OP = 'UPDATE' THEN OLD.status END, NEW.status, NEW.attempts,
            CASE WHEN TG_OP = 'UPDATE' THEN NEW.attempts < OLD.attempts ELSE false END);
    RETURN NULL;
END $$;

CREATE TRIGGER chaos_witness AFTER INSERT OR UPDATE OF status, attempts ON executions
FOR EACH ROW EXECUTE FUNCTION chaos.witness();

-- What clients were told: one row for each request, under the client's own id.
CREATE TABLE chaos.ledger (
    client_id    text PRIMARY KEY,
    answer       text NOT NULL CHECK (answer IN ('accepted', 'refused', 'unknown', 'fault')),
    execution_id uuid
);
