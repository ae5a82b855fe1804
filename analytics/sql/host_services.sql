-- One row per service on a virtual machine and minute: the CPU time it has used since it started, in seconds, and its mean
-- memory. What runs in pods is not here.
SELECT
    sipHash64(cluster, if(workload_kind IN ('Service', 'Function', 'Host'), environment, ''), namespace, workload_kind, workload_name)
        AS workload_id,
    environment,
    namespace,
    workload_kind,
    workload_name,
    sipHash64(cluster, node) AS node_id,
    minute,
    max(cpu_time_s_total) AS cpu_time_s,
    sum(memory_usage_bytes_sum) / nullIf(sum(memory_usage_samples), 0) AS memory_usage
FROM usage_1m
WHERE tenant = {tenant:String}
    AND minute >= {start:DateTime('UTC')}
    AND minute < {end:DateTime('UTC')}
    AND cluster = ''
    AND pod = ''
    AND node != ''
    AND workload_kind IN ('Service', 'Host')
GROUP BY workload_id, environment, namespace, workload_kind, workload_name, cluster, node, minute
