CREATE MATERIALIZED VIEW IF NOT EXISTS trace_volume_mv TO telemetry_volume_1h AS
SELECT
    tenant,
    'traces' AS signal,
    ${identity_names},
    service_namespace,
    service_name,
    toDateTime(intDiv(${seconds(start_ns)}, 3600) * 3600, 'UTC') AS hour,
    count() AS rows,
    sum(byteSize(resource, attributes, trace_id, span_id, name, start_ns, end_ns, event_names, event_attributes,
        link_trace_ids, link_attributes)) AS bytes
FROM spans
GROUP BY
    tenant,
    ${identity_names},
    service_namespace,
    service_name,
    hour
