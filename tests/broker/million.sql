-- A million messages, 100,000 executions and 100,000 events. Half of the messages are of one queue; of fifty one is in
-- somebody's hands, one is dead and ten are delayed. Message and execution of one number belong together.

-- Nothing but the tests is to change what the planner believes.
ALTER TABLE broker.messages SET (autovacuum_enabled = false);

CREATE FUNCTION pg_temp.id_of(n integer) RETURNS uuid LANGUAGE sql STABLE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint - n * 1000::bigint), 12, '0')
            || lpad(to_hex(n), 20, '0'))::uuid
$$;

INSERT INTO functions (id, name, description, timeout_ms, memory_mb, active_version, latest_version, revision,
                       created_at, updated_at)
SELECT md5('f' || n)::uuid, 'f' || n, '', 1000, 64, 1, 1, 1, now(), now() FROM generate_series(0, 999) AS n;

INSERT INTO artifacts SELECT 'a', '', now();

INSERT INTO versions (function_id, number, language, source, source_digest, status, compile_attempts, artifact_digest,
                      created_at, compiled_at)
SELECT id, 1, 'wat', '', '', 'READY', 1, 'a', now(), now() FROM functions;

INSERT INTO executions (id, function_id, version, status, input, attempts, trigger, correlation_id, created_at,
                        completed_at)
SELECT pg_temp.id_of(n), md5('f' || n % 1000)::uuid, 1, CASE WHEN n % 4 = 0 THEN 'PENDING' ELSE 'CANCELLED' END, '{}', 0,
       'api', '', now(), CASE WHEN n % 4 <> 0 THEN now() END
FROM generate_series(1, 100000) AS n;

INSERT INTO broker.events (kept_at, type, worker, task_id, event)
SELECT now() - n * interval '72 milliseconds', CASE WHEN n % 50 = 0 THEN 'worker-heartbeat' ELSE 'task-received' END,
       'w' || n % 20 || '@h', CASE WHEN n % 50 <> 0 THEN md5(n::text) END, '{}'
FROM generate_series(1, 100000) AS n;

INSERT INTO broker.messages (queue, state, priority, lane, holder, deliveries, enqueued_at, ready_at, expires_at, function_id,
                             execution_id, dead_reason, died_at, payload)
SELECT CASE WHEN n % 10 < 5 THEN 'execute' WHEN n % 10 = 5 THEN 'compile' ELSE 'other-' || n % 7 END,
       state, n * 7 % 10, CASE WHEN n % 3 > 0 THEN 'lane ' || n % 20 END,
       CASE state WHEN 'leased' THEN 'w' || n % 20 || '@h' END,
       (state <> 'ready')::integer,
       now() - (1000000 - n) * interval '10 milliseconds',
       now() + (n % 3600 + 30) * CASE WHEN state IN ('leased', 'delayed') THEN interval '1 second'
                                      ELSE -interval '1 second' END,
       CASE WHEN n % 100 = 7 THEN now() + (n % 1000 - 10) * interval '1 second' END,
       md5('f' || n % 1000)::uuid, pg_temp.id_of(n),
       CASE state WHEN 'dead' THEN 'rejected' END, CASE state WHEN 'dead' THEN now() END,
       '{"body": "[[], {}, {}]", "headers": {"task": "executions.run"}, "properties": {"delivery_info": {}}}'
FROM (
    SELECT n, CASE WHEN n % 50 = 0 THEN 'leased' WHEN n % 50 = 1 THEN 'dead' WHEN n % 50 < 12 THEN 'delayed'
                   ELSE 'ready' END
    FROM generate_series(1, 1000000) AS n
) AS made (n, state);
