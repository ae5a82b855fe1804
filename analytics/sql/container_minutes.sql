-- One row per container of a pod and minute: where it ran ('' where nobody said), mean usage (NULL where the kubelet was
-- not heard) and requests (0 where the cluster's scraper was not heard, or nothing is requested).
SELECT
    sipHash64(cluster, namespace, pod, container) AS container_id,
    minute,
    max(seen.node) AS node,
    sum(cpu_usage_cores_sum) / nullIf(sum(cpu_usage_samples), 0) AS cpu_usage,
    sum(memory_usage_bytes_sum) / nullIf(sum(memory_usage_samples), 0) AS memory_usage,
    max(cpu_request_cores) AS cpu_request,
    max(memory_request_bytes) AS memory_request
FROM usage_1m AS seen
WHERE tenant = {tenant:String}
    AND minute >= {start:DateTime('UTC')}
    AND minute < {end:DateTime('UTC')}
    AND pod != ''
    AND container != ''
GROUP BY container_id, minute
