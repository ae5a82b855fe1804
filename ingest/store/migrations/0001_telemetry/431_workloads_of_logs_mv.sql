CREATE MATERIALIZED VIEW IF NOT EXISTS workloads_of_logs_mv TO workloads AS
SELECT
    ${workload_keys},
    min(seen_at) AS first_seen_at,
    max(seen_at) AS last_seen_at,
    argMaxState(resource, seen_at) AS attributes
FROM
(
    SELECT
        *,
        arrayMax(arrayMap(entry -> arrayMax(arrayMap((own, observed) -> multiIf(own > 0, own, observed > 0, observed, received_ns), entry.log_records.time_unix_nano, entry.log_records.observed_time_unix_nano)), scope_logs)) AS seen_ns,
        ${time(seen_ns)} AS seen_at
    FROM log_resources
)
WHERE seen_ns > 0
GROUP BY
    ${workload_keys}
