CREATE MATERIALIZED VIEW IF NOT EXISTS access_log_1h_mv TO access_log_1h AS
SELECT
    tenant,
    ${identity_names},
    service_namespace,
    service_name,
    form,
    toDateTime(intDiv(${seconds(time_ns)}, 3600) * 3600, 'UTC') AS hour,
    count() AS lines
FROM access_log_entries
GROUP BY
    tenant,
    ${identity_names},
    service_namespace,
    service_name,
    form,
    hour
