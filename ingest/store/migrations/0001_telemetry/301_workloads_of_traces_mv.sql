CREATE MATERIALIZED VIEW IF NOT EXISTS workloads_of_traces_mv TO workloads AS
WITH
    arrayMax(arrayFlatten(${scope_spans.spans.end_time_unix_nano})) AS seen_ns,
    ${time(seen_ns)} AS seen_at
SELECT
    ${workload_keys},
    min(seen_at) AS first_seen_at,
    max(seen_at) AS last_seen_at,
    argMaxState(resource, seen_at) AS attributes
FROM trace_resources
WHERE seen_ns > 0
GROUP BY
    ${workload_keys}
