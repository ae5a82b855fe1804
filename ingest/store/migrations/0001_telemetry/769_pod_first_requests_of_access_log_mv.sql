CREATE MATERIALIZED VIEW IF NOT EXISTS pod_first_requests_of_access_log_mv TO pod_first_requests AS
SELECT
    tenant,
    ${identity_names},
    pod,
    'access_log' AS source,
    toDate(${seconds(start_ns)}) AS day,
    min((${time(start_ns)}, (end_ns - start_ns) / 1000000)) AS first
FROM access_log_entries
WHERE pod != '' AND form IN ('text', 'json', 'attributes') AND direction = 'inbound' AND is_http AND NOT is_probe
GROUP BY
    tenant,
    ${identity_names},
    pod,
    day
