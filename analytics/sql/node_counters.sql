-- One row per node or virtual machine, counter of CPU time and minute, as container_counters.sql: of all processors together
-- (counter '', or `cpu` in the kubelet's /metrics/resource), or of the time that one of them was idle (its number).
SELECT
    sipHash64(cluster, node) AS node_id,
    counter,
    minute,
    argMax(tupleElement(cpu_time_s_last, 'total'), tupleElement(cpu_time_s_last, 'at')) AS cpu_time_s,
    max(tupleElement(cpu_time_s_last, 'at')) AS read_at,
    max(cpu_time_s_total) AS peak_s,
    CAST(NULL, 'Nullable(DateTime(\'UTC\'))') AS started_at
FROM
(
    ${named_nodes}
)
GROUP BY node_id, counter, minute
HAVING read_at > toDateTime64(0, 3, 'UTC')
