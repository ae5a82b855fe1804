CREATE MATERIALIZED VIEW IF NOT EXISTS log_volume_mv TO telemetry_volume_1h AS
WITH
    ${log_times} AS times,
    arrayFlatten(${scope_logs.log_records.size_bytes}) AS sizes
${volume_of(logs, log_resources)}
