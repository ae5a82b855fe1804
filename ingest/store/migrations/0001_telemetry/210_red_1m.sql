-- Rate, errors and durations by service, operation and minute (of the end of a request).
-- requests, errors_weighted: corrected for sampling; spans, errors: as stored. durations: as in activity_1s.
CREATE TABLE IF NOT EXISTS red_1m
(
    tenant LowCardinality(String),
    ${identity_columns},
    service_namespace LowCardinality(String),
    service_name LowCardinality(String),
    operation LowCardinality(String),
    kind LowCardinality(String),
    source LowCardinality(String),
    minute DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
    requests SimpleAggregateFunction(sum, Decimal(38, 6)) CODEC(ZSTD(1)),
    spans SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    errors SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    errors_weighted SimpleAggregateFunction(sum, Decimal(38, 6)) CODEC(ZSTD(1)),
    duration_ns SimpleAggregateFunction(sum, Decimal(38, 0)) CODEC(ZSTD(1)),
    durations SimpleAggregateFunction(sumMap, Map(UInt16, UInt64)) CODEC(ZSTD(1))
)
ENGINE = ${aggregating}
PARTITION BY toDate(minute)
ORDER BY (tenant, cluster, environment, namespace, workload_kind, workload_name, service_namespace, service_name, operation, kind, source, minute)
TTL minute + INTERVAL ${retention_rollup_days} DAY
SETTINGS ${table_settings}
