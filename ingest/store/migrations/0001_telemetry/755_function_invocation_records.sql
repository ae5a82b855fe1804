-- What was told of runs of functions, one row per record, and one per span with faas.invocation_id (source: application). A record
-- that comes twice is one row. Which of several records of a run counts is decided in function_invocations.
CREATE TABLE IF NOT EXISTS function_invocation_records
(
    tenant LowCardinality(String),
    ${identity_columns},
    service_namespace LowCardinality(String),
    service_name LowCardinality(String),
    invocation_id String CODEC(ZSTD(1)),
    source LowCardinality(String),
    ended_at DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)),
    duration_ms SimpleAggregateFunction(max, Float64) CODEC(ZSTD(1)),
    billed_ms SimpleAggregateFunction(max, Nullable(Float64)) CODEC(ZSTD(1)),
    memory_mib SimpleAggregateFunction(max, Nullable(Float64)) CODEC(ZSTD(1)),
    memory_used_mib SimpleAggregateFunction(max, Nullable(Float64)) CODEC(ZSTD(1)),
    init_ms SimpleAggregateFunction(max, Nullable(Float64)) CODEC(ZSTD(1)),
    restore_ms SimpleAggregateFunction(max, Nullable(Float64)) CODEC(ZSTD(1)),
    is_cold_start SimpleAggregateFunction(max, UInt8) CODEC(ZSTD(1)),
    status SimpleAggregateFunction(max, String) CODEC(ZSTD(1)),
    version SimpleAggregateFunction(max, String) CODEC(ZSTD(1))
)
ENGINE = ${aggregating}
PARTITION BY toDate(ended_at)
ORDER BY (tenant, cluster, environment, namespace, workload_kind, workload_name, service_namespace, service_name, invocation_id, source, ended_at)
TTL toDateTime(ended_at) + INTERVAL ${retention_activity_days} DAY
SETTINGS ${table_settings}
