CREATE MATERIALIZED VIEW IF NOT EXISTS log_volume_mv TO telemetry_volume_1h AS
SELECT
    tenant,
    'logs' AS signal,
    ${identity_names},
    service_namespace,
    service_name,
    toDateTime(intDiv(${seconds(time_ns)}, 3600) * 3600, 'UTC') AS hour,
    count() AS rows,
    sum(size_bytes) AS bytes
FROM log_records
GROUP BY
    tenant,
    ${identity_names},
    service_namespace,
    service_name,
    hour
