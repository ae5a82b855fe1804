SELECT
    tenant,
    'metrics' AS signal,
    ${identity_names},
    service_namespace,
    service_name,
    toDateTime(intDiv(${seconds(time_ns)}, 3600) * 3600, 'UTC') AS hour,
    count() AS rows,
    sum(byteSize(resource, attributes, name, start_ns, time_ns)) AS bytes
FROM $1
GROUP BY
    tenant,
    ${identity_names},
    service_namespace,
    service_name,
    hour
