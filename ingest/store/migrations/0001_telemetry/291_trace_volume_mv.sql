CREATE MATERIALIZED VIEW IF NOT EXISTS trace_volume_mv TO telemetry_volume_1h AS
SELECT
    tenant,
    'traces' AS signal,
    ${identity_names},
    service_namespace,
    service_name,
    toDateTime(intDiv(${seconds(start_ns)}, 3600) * 3600, 'UTC') AS hour,
    count() AS rows,
    sum(size_bytes) AS bytes
FROM spans
GROUP BY
    tenant,
    ${identity_names},
    service_namespace,
    service_name,
    hour
