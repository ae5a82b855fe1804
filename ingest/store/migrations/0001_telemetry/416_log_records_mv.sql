-- Unfolds the log records of a resource.
CREATE MATERIALIZED VIEW IF NOT EXISTS log_records_mv TO log_records AS
SELECT
    ${resource_names},
    scope_name,
    scope_version,
    scope_json,
    scope_schema_url,
    multiIf(
        ${record.time_unix_nano} > 0, ${record.time_unix_nano},
        ${record.observed_time_unix_nano} > 0, ${record.observed_time_unix_nano},
        received_ns) AS time_ns,
    ${record.observed_time_unix_nano} AS observed_ns,
    if(${record.severity_number} BETWEEN 0 AND 255, ${record.severity_number}, 0)::UInt8 AS severity_number,
    ${record.severity_text} AS severity_text,
    ${value_text(record.body)} AS body,
    ${attributes_of(record)} AS attributes,
    ${record.flags} AS flags,
    ${record.size_bytes} AS size_bytes,
    lower(hex(${record.trace_id})) AS trace_id,
    lower(hex(${record.span_id})) AS span_id,
    ${record.event_name} AS event_name
FROM
(
    SELECT
        ${scoped_names},
        arrayJoin(log_records) AS record
    FROM
    (
        ${scopes_of(log_resources, scope_logs, log_records)}
    )
)
