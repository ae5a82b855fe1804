SELECT
    tenant,
    'metrics' AS signal,
    ${identity_names},
    service_namespace,
    service_name,
    toDateTime(intDiv(${seconds(time_ns)}, 3600) * 3600, 'UTC') AS hour,
    count() AS rows,
    sum(size_bytes) AS bytes
FROM $1
GROUP BY
    tenant,
    ${identity_names},
    service_namespace,
    service_name,
    hour
