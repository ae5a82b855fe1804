-- One row per workload, source and hour: requests corrected for sampling, spans as stored, and when they came. Probes are
-- left out: they are nobody's traffic.
SELECT
    ${workload_id(seconds.environment)} AS workload_id,
    cluster,
    max(seconds.environment) AS environment,
    namespace,
    workload_kind,
    workload_name,
    source,
    toStartOfHour(second) AS hour,
    toFloat64(sum(seconds.requests)) AS requests,
    sum(seconds.starts) AS starts,
    toFloat64(sum(busy_weighted_ns)) / 1e9 AS busy_s,
    uniqExactIf(second, seconds.starts > 0) AS active_seconds,
    uniqExactIf(toStartOfMinute(second), seconds.starts > 0) AS active_minutes,
    minIf(second, seconds.starts > 0) AS first_request_at,
    maxIf(second, seconds.starts > 0) AS last_request_at,
    sum(seconds.cold_starts) AS cold_starts
FROM
(
    SELECT
        cluster,
        environment,
        namespace,
        workload_kind,
        workload_name,
        source,
        second,
        sum(activity_1s.requests) AS requests,
        sum(activity_1s.starts) AS starts,
        sum(activity_1s.busy_weighted_ns) AS busy_weighted_ns,
        sum(activity_1s.cold_starts) AS cold_starts
    FROM activity_1s
    WHERE tenant = {tenant:String}
        AND second >= {start:DateTime('UTC')}
        AND second < {end:DateTime('UTC')}
        AND source != 'probe'
    GROUP BY cluster, environment, namespace, workload_kind, workload_name, source, second
) AS seconds
GROUP BY workload_id, cluster, namespace, workload_kind, workload_name, source, hour
