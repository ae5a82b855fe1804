-- Spans say neither what is billed nor how much memory was used. faas.invocation.id is what conventions since 1.45 call the id.
CREATE MATERIALIZED VIEW IF NOT EXISTS function_invocation_records_of_spans_mv TO function_invocation_records AS
SELECT
    tenant,
    ${identity_names},
    service_namespace,
    service_name,
    if(attributes['faas.invocation.id'] != '', attributes['faas.invocation.id'], attributes['faas.invocation_id']) AS invocation_id,
    'application' AS source,
    ${time(end_ns)} AS ended_at,
    (end_ns - start_ns) / 1000000 AS duration_ms,
    (attributes['faas.coldstart'] = 'true')::UInt8 AS is_cold_start,
    if(status_code = 2, 'error', '') AS status,
    if(attributes['faas.version'] = '', revision, attributes['faas.version'])::String AS version
FROM spans
WHERE ${is_request} AND spans.source = 'application' AND invocation_id != ''
