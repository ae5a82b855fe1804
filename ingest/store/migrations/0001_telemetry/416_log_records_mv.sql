-- Unfolds the log records of a resource.
CREATE MATERIALIZED VIEW IF NOT EXISTS log_records_mv TO log_records AS
SELECT
    ${resource_names},
    scope_name,
    scope_version,
    scope_attributes,
    scope_schema_url,
    multiIf(
        record.time_unix_nano > 0, record.time_unix_nano,
        record.observed_time_unix_nano > 0, record.observed_time_unix_nano,
        received_ns) AS time_ns,
    record.observed_time_unix_nano AS observed_ns,
    if(record.severity_number BETWEEN 0 AND 255, record.severity_number, 0)::UInt8 AS severity_number,
    record.severity_text AS severity_text,
    ${value_text(record.body)} AS body,
    ${attributes_of(record)} AS attributes,
    record.flags AS flags,
    record.size_bytes AS size_bytes,
    lower(hex(record.trace_id)) AS trace_id,
    lower(hex(record.span_id)) AS span_id,
    record.event_name AS event_name
FROM
(
    SELECT
        ${resource_names},
        scope.name AS scope_name,
        scope.version AS scope_version,
        ${attributes_of(scope)} AS scope_attributes,
        scope_schema_url,
        arrayJoin(log_records) AS record
    FROM
    (
        SELECT
            ${resource_names},
            arrayJoin(scope_logs) AS scope_entry,
            tupleElement(scope_entry, 'scope') AS scope,
            tupleElement(scope_entry, 'schema_url') AS scope_schema_url,
            tupleElement(scope_entry, 'log_records') AS log_records
        FROM log_resources
    )
)
