-- What must hold when everything has come to rest. Each query answers the rows that break its sentence: none.

-- I1: every accepted execution exists.
SELECT client_id, execution_id FROM chaos.ledger
WHERE answer = 'accepted' AND NOT EXISTS (SELECT FROM executions WHERE id = execution_id);

-- I2: every execution has come to an end.
SELECT id, status, attempts FROM executions WHERE status NOT IN ('COMPLETED', 'FAILED', 'CANCELLED');

-- I3: attempts are numbered from 1 without a gap, and none is begun twice; one that was given back was none.
SELECT execution_id, attempts, before FROM (
    SELECT execution_id, attempts, returned, lag(attempts, 1, 0) OVER (PARTITION BY execution_id ORDER BY id) AS before
    FROM chaos.history
) AS step
WHERE attempts NOT IN (before, before + 1) AND NOT (returned AND attempts = before - 1)
UNION ALL
SELECT execution_id, attempt, sum(step)::integer FROM (
    SELECT execution_id, attempts AS attempt, 1 AS step FROM chaos.history WHERE status = 'RUNNING'
    UNION ALL
    SELECT execution_id, attempts + 1, -1 FROM chaos.history WHERE returned
) AS begun
GROUP BY execution_id, attempt HAVING sum(step) > 1;

-- I4: every attempt began, and ended in the next attempt or in the end.
SELECT id, attempts FROM executions
WHERE attempts <> (
    SELECT count(*) FILTER (WHERE history.status = 'RUNNING') - count(*) FILTER (WHERE returned)
    FROM chaos.history WHERE execution_id = executions.id
);

-- I5: a result was made by the latest attempt at this very execution; the program writes both into its output.
SELECT id, attempts, output::text FROM executions
WHERE status = 'COMPLETED' AND output ->> 'attempt' IS NOT NULL
  AND ((output ->> 'attempt')::integer <> attempts OR output ->> 'executionId' <> id::text);

-- I6: what has ended stays as it ended.
SELECT execution_id, was, status FROM chaos.history WHERE was IN ('COMPLETED', 'FAILED', 'CANCELLED');

-- I7: nothing waits for an execution that has ended.
SELECT message.id, message.state, execution.status
FROM broker.messages AS message JOIN executions AS execution ON execution.id = message.execution_id
WHERE message.state <> 'dead' AND execution.status IN ('COMPLETED', 'FAILED', 'CANCELLED');

-- I8: no lease outlives its time by more than a few beats.
SELECT id, holder, ready_at FROM broker.messages WHERE state = 'leased' AND ready_at < now() - interval '3 seconds';

-- I9: what became of every attempt but the last is told, in their order; of the last, where another was to follow.
SELECT id, attempts, earlier FROM executions, LATERAL (
    SELECT coalesce(array_agg((entry ->> 'attempt')::integer ORDER BY place), '{}') AS earlier
    FROM jsonb_array_elements(earlier_attempts) WITH ORDINALITY AS told (entry, place)
) AS told
WHERE earlier NOT IN (ARRAY(SELECT generate_series(1, attempts)), ARRAY(SELECT generate_series(1, attempts - 1)));

-- I10: nothing is left over.
SELECT id, queue, state FROM broker.messages WHERE state <> 'dead' AND queue IN ('execute', 'compile');
