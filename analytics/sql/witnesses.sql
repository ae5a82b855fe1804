-- One row per workload in a cluster: what its pods did in the range, whoever asked for it. Its floor is the 5 % of its
-- CPU samples that are lowest; network is the sum of what its pods' counters grew by.
SELECT
    workload_id,
    quantileExactIf(0.05)(cpu_usage, pod_container != '') AS cpu_floor_cores,
    quantileExactIf(0.95)(cpu_usage, pod_container != '') AS cpu_high_cores,
    avgIf(cpu_usage, pod_container != '') AS cpu_mean_cores,
    countIf(pod_container != '') AS cpu_samples,
    min(minute) AS first_sample_at
FROM
(
    SELECT
        ${workload_id(environment)} AS workload_id,
        pod AS pod_name,
        container AS pod_container,
        minute,
        sum(cpu_usage_cores_sum) / sum(cpu_usage_samples) AS cpu_usage
    FROM usage_1m
    WHERE tenant = {tenant:String}
        AND minute >= {start:DateTime('UTC')}
        AND minute < {end:DateTime('UTC')}
        AND pod != ''
        AND container NOT IN {sidecars:Array(String)}
    GROUP BY workload_id, pod_name, pod_container, minute
    HAVING sum(cpu_usage_samples) > 0
)
GROUP BY workload_id
