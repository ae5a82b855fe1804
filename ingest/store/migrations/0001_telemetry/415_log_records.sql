-- One row per log record, with what the table and rollups behind it need. Keeps nothing.
CREATE TABLE IF NOT EXISTS log_records
(
    ${scoped_columns},
    time_ns UInt64,
    observed_ns UInt64,
    severity_number UInt8,
    severity_text LowCardinality(String),
    body String,
    attributes Map(LowCardinality(String), String),
    flags UInt32,
    size_bytes UInt32,
    trace_id String,
    span_id String,
    event_name LowCardinality(String)
)
ENGINE = Null
