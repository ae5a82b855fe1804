CREATE MATERIALIZED VIEW IF NOT EXISTS log_volume_mv TO telemetry_volume_1h AS
SELECT
    tenant,
    'logs' AS signal,
    ${identity_names},
    service_namespace,
    service_name,
    toDateTime(intDiv(${seconds(time_ns)}, 3600) * 3600, 'UTC') AS hour,
    count() AS rows,
    sum(byteSize(resource, attributes, trace_id, span_id, body, severity_text, time_ns, observed_ns)) AS bytes
FROM log_records
GROUP BY
    tenant,
    ${identity_names},
    service_namespace,
    service_name,
    hour
