-- What a workload's proxy added to the requests through it, by minute (of their end): duration less upstream service time, as its
-- access log says both, in whole milliseconds. Requests without an upstream service time are not here: the proxy answered itself.
-- direction: as in access_log_entries. overheads: as durations in activity_1s.
CREATE TABLE IF NOT EXISTS proxy_overhead_1m
(
    tenant LowCardinality(String),
    ${identity_columns},
    service_namespace LowCardinality(String),
    service_name LowCardinality(String),
    direction LowCardinality(String),
    minute DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
    requests SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    duration_ms SimpleAggregateFunction(sum, Float64) CODEC(ZSTD(1)),
    upstream_ms SimpleAggregateFunction(sum, Float64) CODEC(ZSTD(1)),
    overhead_ms SimpleAggregateFunction(sum, Float64) CODEC(ZSTD(1)),
    overhead_ms_max SimpleAggregateFunction(max, Float64) CODEC(ZSTD(1)),
    overheads SimpleAggregateFunction(sumMap, Map(UInt16, UInt64)) CODEC(ZSTD(1))
)
ENGINE = ${aggregating}
PARTITION BY toDate(minute)
ORDER BY (tenant, cluster, environment, namespace, workload_kind, workload_name, service_namespace, service_name, direction, minute)
TTL minute + INTERVAL ${retention_rollup_days} DAY
SETTINGS ${table_settings}
