-- One row per log record, with what the table and rollups behind it need. Keeps nothing.
CREATE TABLE IF NOT EXISTS log_records
(
    ${resource_columns},
    scope_name LowCardinality(String),
    scope_version LowCardinality(String),
    scope_attributes Map(LowCardinality(String), String),
    scope_schema_url LowCardinality(String),
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
