CREATE MATERIALIZED VIEW IF NOT EXISTS trace_volume_mv TO telemetry_volume_1h AS
WITH
    arrayFlatten(${scope_spans.spans.start_time_unix_nano}) AS times,
    arrayFlatten(${scope_spans.spans.size_bytes}) AS sizes
${volume_of(traces, trace_resources)}
