-- What a platform said of one run of a function when it was over; one row a record. Keeps nothing; the records are in otel_logs.
-- source: function_telemetry (Lambda's Telemetry API), function_runtime (the same, or its log in JSON, by the runtime: of the run,
-- not of what is billed), function_log (REPORT lines, reports in a log in JSON, Google's last line of a run, Cloud Run's entry of a request, Alibaba's metrics of
-- one, Tencent's report). end_ns: of the record. Durations are milliseconds, memory is MiB (what AWS and Alibaba call MB). init_ms, restore_ms: of a cold start, NULL
-- else, or if nobody told. status: success, failure, error, timeout; empty if not told.
CREATE TABLE IF NOT EXISTS function_reports
(
    ${resource_columns},
    source LowCardinality(String),
    invocation_id String,
    start_ns UInt64,
    end_ns UInt64,
    duration_ms Float64,
    billed_ms Nullable(Float64),
    memory_mib Nullable(Float64),
    memory_used_mib Nullable(Float64),
    init_ms Nullable(Float64),
    restore_ms Nullable(Float64),
    is_cold_start UInt8,
    status LowCardinality(String),
    version LowCardinality(String)
)
ENGINE = Null
