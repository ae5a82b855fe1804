-- One row per container of a pod, run of it and minute: the CPU time it had used when it was read last (cpu_time_s, at read_at),
-- the highest that was read in the minute, and when the run began (NULL where nobody said). Of cAdvisor; other senders report
-- cores themselves.
SELECT
    sipHash64(cluster, namespace, pod, container) AS container_id,
    counter,
    minute,
    argMax(tupleElement(cpu_time_s_last, 'total'), tupleElement(cpu_time_s_last, 'at')) AS cpu_time_s,
    max(tupleElement(cpu_time_s_last, 'at')) AS read_at,
    max(cpu_time_s_total) AS peak_s,
    nullIf(max(usage_1m.started_at), toDateTime(0, 'UTC')) AS started_at
FROM usage_1m
WHERE tenant = {tenant:String}
    AND minute >= {start:DateTime('UTC')}
    AND minute < {end:DateTime('UTC')}
    AND pod != ''
    AND container != ''
    AND counter != ''
GROUP BY container_id, counter, minute
HAVING read_at > toDateTime64(0, 3, 'UTC')
