-- What must hold when everything has come to rest. Each query answers the rows that break its sentence: none.

-- I1: every accepted execution exists.
SELECT client_id, execution_id FROM chaos.ledger
WHERE answer = 'accepted' AND NOT EXISTS (SELECT FROM executions WHERE id = execution_id);

-- I2: every execution has come to an end.
SELECT id, status, attempts FROM executions WHERE status NOT IN ('COMPLETED', 'FAILED', 'CANCELLED');

-- I3: attempts are numbered from 1 without a gap, and none is begun twice; one that was given back was none.
SELECT execution_id, attempts, before FROM (
    SELECT execution_id, status, attempts, lag(attempts, 1, 0) OVER (PARTITION BY execution_id ORDER BY id) AS before
    FROM chaos.history
) AS step
WHERE attempts NOT IN (before, before + 1) AND NOT (status = 'PENDING' AND attempts = before - 1)
UNION ALL
SELECT execution_id, attempt, sum(step)::integer FROM (
    SELECT execution_id, attempts AS attempt, 1 AS step FROM chaos.history WHERE status = 'RUNNING'
    UNION ALL
    SELECT execution_id, attempts + 1, -1 FROM chaos.history WHERE status = 'PENDING' AND was = 'RUNNING'
) AS begun
GROUP BY execution_id, attempt HAVING sum(step) > 1;

-- I4: every attempt began, and ended in the next attempt or in the end.
SELECT id, attempts FROM executions
WHERE attempts <> (
    SELECT count(*) FILTER (WHERE history.status = 'RUNNING')
           - count(*) FILTER (WHERE history.status = 'PENDING' AND was = 'RUNNING')
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

-- I10: nothing is left over.
SELECT id, queue, state FROM broker.messages WHERE state <> 'dead' AND queue IN ('execute', 'compile');
