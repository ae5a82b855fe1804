-- One row per workload: bytes its pods or its machine received and sent in the range, from the growth of their counters
-- (a counter that fell has been restarted) or what was reported as growth, and the seconds between those samples, by
-- interface. Where the sender knows only the pod, the workload is that of the pod's owner.
SELECT
    workload_id,
    sum(bytes) AS network_bytes,
    sum(seconds) AS network_seconds
FROM
(
    SELECT
        if(own_rank < 3 AND owned.owner_id != 0, owned.owner_id, own_id) AS workload_id,
        pod_name,
        minute,
        received + sent AS total,
        lagInFrame(total, 1, total) OVER by_pod AS total_before,
        lagInFrame(minute, 1, minute) OVER by_pod AS minute_before,
        if(total >= total_before, total - total_before, total) + if(minute > minute_before, growth, 0) AS bytes,
        toFloat64(minute - minute_before) AS seconds
    FROM
    (
        SELECT
            ${workload_id(environment)} AS own_id,
            any(${owner_rank(workload_kind)}) AS own_rank,
            sipHash64(cluster, namespace, pod) AS pod_id,
            concat(node, '/', pod, '/', counter) AS pod_name,
            minute,
            max(network_receive_bytes_total) AS received,
            max(network_transmit_bytes_total) AS sent,
            sum(network_receive_bytes_delta) + sum(network_transmit_bytes_delta) AS growth
        FROM usage_1m
        WHERE tenant = {tenant:String}
            AND minute >= {start:DateTime('UTC')}
            AND minute < {end:DateTime('UTC')}
            AND container = ''
        GROUP BY own_id, pod_id, pod_name, minute
        HAVING received + sent + growth > 0
    ) AS seen
    LEFT JOIN
    (
        ${pod_workloads}
    ) AS owned ON seen.pod_id = owned.pod_id
    WINDOW by_pod AS (PARTITION BY own_id, pod_name ORDER BY minute ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)
)
GROUP BY workload_id
