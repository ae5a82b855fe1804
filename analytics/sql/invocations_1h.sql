-- One row per function, hour and memory: runs that its platform reported with what is billed for them, each once.
SELECT
    ${workload_id(runs.environment)} AS workload_id,
    toStartOfHour(toDateTime(runs.ended_at, 'UTC')) AS hour,
    runs.memory_mib * 1048576 AS memory_bytes,
    toFloat64(count()) AS requests,
    sum(assumeNotNull(runs.billed_ms)) / 1000 AS busy_s
FROM
(
    ${invocations_between}
) AS runs
WHERE isNotNull(runs.billed_ms) AND isNotNull(runs.memory_mib)
GROUP BY workload_id, cluster, namespace, workload_kind, workload_name, hour, memory_bytes
