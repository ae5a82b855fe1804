-- One row per workload in a cluster: what its pods did in the range, whoever asked for it. Its floor is the 5 % of its
-- CPU samples that are lowest; network is the sum of what its pods' counters grew by. CPU is reported as cores, or as a
-- counter of CPU time (cpu_time_s_last), whose growth is a sample. Where the sender knows only the pod, the workload is that of
-- the pod's owner.
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
        if(seen.own_rank < 3 AND owned.owner_id != 0, owned.owner_id, seen.own_id) AS workload_id,
        seen.pod_container AS pod_container,
        seen.minute AS minute,
        seen.cpu_usage AS cpu_usage
    FROM
    (
        SELECT
            ${workload_id(environment)} AS own_id,
            any(${owner_rank(workload_kind)}) AS own_rank,
            sipHash64(cluster, namespace, pod) AS pod_id,
            container AS pod_container,
            minute,
            sum(cpu_usage_cores_sum) / sum(cpu_usage_samples) AS cpu_usage
        FROM usage_1m
        WHERE tenant = {tenant:String}
            AND minute >= {start:DateTime('UTC')}
            AND minute < {end:DateTime('UTC')}
            AND pod != ''
            AND container NOT IN {sidecars:Array(String)}
        GROUP BY own_id, pod_id, pod_container, minute
        HAVING sum(cpu_usage_samples) > 0
        UNION ALL
        SELECT own_id, own_rank, pod_id, pod_container, minute, grown_s / seconds AS cpu_usage
        FROM
        (
            SELECT
                own_id,
                own_rank,
                pod_id,
                pod_container,
                minute,
                dateDiff('millisecond', lagInFrame(read_at, 1, read_at) OVER one_run AS before_at, read_at) / 1000 AS seconds,
                cpu_time_s - lagInFrame(cpu_time_s, 1, cpu_time_s) OVER one_run AS grown_s
            FROM
            (
                SELECT
                    ${workload_id('')} AS own_id,
                    any(${owner_rank(workload_kind)}) AS own_rank,
                    sipHash64(cluster, namespace, pod) AS pod_id,
                    container AS pod_container,
                    counter,
                    minute,
                    argMax(tupleElement(cpu_time_s_last, 'total'), tupleElement(cpu_time_s_last, 'at')) AS cpu_time_s,
                    max(tupleElement(cpu_time_s_last, 'at')) AS read_at
                FROM usage_1m
                WHERE tenant = {tenant:String}
                    AND minute >= {start:DateTime('UTC')}
                    AND minute < {end:DateTime('UTC')}
                    AND pod != ''
                    AND counter != ''
                    AND container NOT IN {sidecars:Array(String)}
                GROUP BY own_id, pod_id, pod_container, counter, minute
                HAVING read_at > toDateTime64(0, 3, 'UTC')
            )
            WINDOW one_run AS (
                PARTITION BY pod_id, pod_container, counter ORDER BY minute ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)
        )
        WHERE seconds > 0 AND grown_s >= 0
    ) AS seen
    LEFT JOIN
    (
        ${pod_workloads}
    ) AS owned ON seen.pod_id = owned.pod_id
)
GROUP BY workload_id
