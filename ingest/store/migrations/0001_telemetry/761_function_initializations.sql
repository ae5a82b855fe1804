-- What Lambda said of the initialization, or the restoring, of an instance of a function: one row a record, whether or not a run says the
-- same. A record that comes twice is one row. initialization: on-demand, provisioned-concurrency, snap-start, ...; empty in a line of a log
-- in text. phase: init, invoke (again, while a run waited, since the first one failed), restore; empty in a line of one made ahead of runs.
-- status: success, error, timeout; empty if not told.
CREATE TABLE IF NOT EXISTS function_initializations
(
    tenant LowCardinality(String),
    ${identity_columns},
    service_namespace LowCardinality(String),
    service_name LowCardinality(String),
    source LowCardinality(String),
    ended_at DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)),
    initialization LowCardinality(String),
    phase LowCardinality(String),
    duration_ms Float64 CODEC(ZSTD(1)),
    status SimpleAggregateFunction(max, String) CODEC(ZSTD(1)),
    version SimpleAggregateFunction(max, String) CODEC(ZSTD(1))
)
ENGINE = ${aggregating}
PARTITION BY toDate(ended_at)
ORDER BY (
    tenant, cluster, environment, namespace, workload_kind, workload_name, service_namespace, service_name, source, ended_at,
    initialization, phase, duration_ms)
TTL toDateTime(ended_at) + INTERVAL ${retention_activity_days} DAY
SETTINGS ${table_settings}
