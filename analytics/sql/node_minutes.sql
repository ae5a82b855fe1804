-- One row per node or virtual machine and minute in which it was heard: mean usage, NULL where only its size was told.
-- busy_share: the part of its CPU that was busy, where that is what the machine reports.
SELECT
    sipHash64(cluster, node) AS node_id,
    minute,
    sum(cpu_usage_cores_sum) / nullIf(sum(cpu_usage_samples), 0) AS cpu_usage,
    sum(cpu_busy_sum) / nullIf(sum(cpu_busy_sum) + sum(cpu_idle_sum), 0) AS busy_share,
    ifNull(
        sum(memory_usage_bytes_sum) / nullIf(sum(memory_usage_samples), 0),
        max(memory_capacity_bytes) - sum(memory_available_bytes_sum) / nullIf(sum(memory_available_samples), 0))
        AS memory_usage
FROM
(
    ${named_nodes}
)
GROUP BY node_id, minute
