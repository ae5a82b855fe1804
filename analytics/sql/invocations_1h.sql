-- One row per function, hour and memory: runs that its platform reported with what is billed for them, each once. What is told of a run
-- lies within minutes of its end, hence the margin.
WITH
    records_near AS
    (
        SELECT *
        FROM function_invocation_records
        WHERE tenant = {tenant:String}
            AND ended_at >= {start:DateTime('UTC')} - INTERVAL 1 HOUR
            AND ended_at < {end:DateTime('UTC')} + INTERVAL 1 HOUR
    )
SELECT
    ${workload_id(runs.environment)} AS workload_id,
    toStartOfHour(toDateTime(runs.ended_at, 'UTC')) AS hour,
    runs.memory_mib * 1048576 AS memory_bytes,
    toFloat64(count()) AS requests,
    sum(assumeNotNull(runs.billed_ms)) / 1000 AS busy_s
FROM
(
    ${invocations(records_near)}
) AS runs
WHERE isNotNull(runs.billed_ms)
    AND isNotNull(runs.memory_mib)
    AND runs.ended_at >= {start:DateTime('UTC')}
    AND runs.ended_at < {end:DateTime('UTC')}
GROUP BY workload_id, cluster, namespace, workload_kind, workload_name, hour, memory_bytes
