-- One row per process of a service on a virtual machine, CPU mode and minute: the CPU time used since it started (cpu_time_s)
-- or in that minute (cpu_grown_s), whichever it reports, in seconds, and its mean memory. What runs in pods is not here.
SELECT
    ${workload_id(environment)} AS workload_id,
    environment,
    namespace,
    workload_kind,
    workload_name,
    sipHash64(cluster, node) AS node_id,
    counter,
    minute,
    max(cpu_time_s_total) AS cpu_time_s,
    sum(cpu_time_s_delta) AS cpu_grown_s,
    sum(memory_usage_bytes_sum) / nullIf(sum(memory_usage_samples), 0) AS memory_usage
FROM usage_1m
WHERE tenant = {tenant:String}
    AND minute >= {start:DateTime('UTC')}
    AND minute < {end:DateTime('UTC')}
    AND cluster = ''
    AND pod = ''
    AND node != ''
    AND workload_kind IN ('Service', 'Host')
GROUP BY workload_id, environment, namespace, workload_kind, workload_name, cluster, node, counter, minute
