CREATE MATERIALIZED VIEW IF NOT EXISTS otel_logs_mv TO otel_logs AS
SELECT
    tenant,
    _batch,
    ${time(time_ns)} AS Timestamp,
    ${time(observed_ns)} AS ObservedTimestamp,
    trace_id AS TraceId,
    span_id AS SpanId,
    bitAnd(flags, 255)::UInt8 AS TraceFlags,
    severity_text AS SeverityText,
    severity_number AS SeverityNumber,
    service_name AS ServiceName,
    body AS Body,
    resource_schema_url AS ResourceSchemaUrl,
    resource_json AS ResourceJson,
    scope_schema_url AS ScopeSchemaUrl,
    scope_name AS ScopeName,
    scope_version AS ScopeVersion,
    scope_json AS ScopeJson,
    attributes AS LogAttributes,
    event_name AS EventName
FROM log_records
