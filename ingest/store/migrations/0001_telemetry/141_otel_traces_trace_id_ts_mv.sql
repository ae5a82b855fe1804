CREATE MATERIALIZED VIEW IF NOT EXISTS otel_traces_trace_id_ts_mv TO otel_traces_trace_id_ts AS
SELECT
    tenant,
    trace_id AS TraceId,
    toDateTime(min(${seconds(start_ns)}), 'UTC') AS Start,
    toDateTime(max(${seconds(end_ns)}), 'UTC') AS End
FROM spans
WHERE trace_id != ''
GROUP BY tenant, TraceId
