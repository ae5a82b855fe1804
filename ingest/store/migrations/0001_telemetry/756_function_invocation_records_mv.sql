CREATE MATERIALIZED VIEW IF NOT EXISTS function_invocation_records_mv TO function_invocation_records AS
SELECT
    tenant,
    ${identity_names},
    service_namespace,
    service_name,
    invocation_id,
    source,
    ${time(end_ns)} AS ended_at,
    duration_ms,
    billed_ms,
    memory_mib,
    memory_used_mib,
    init_ms,
    restore_ms,
    is_cold_start,
    status::String AS status,
    if(version = '', revision, version)::String AS version
FROM function_reports
