-- Rows kept and their size as they were sent (bytes of protobuf, uncompressed, without the resource and scope that many
-- share), by sender and hour (of the records' own time).
CREATE TABLE IF NOT EXISTS telemetry_volume_1h
(
    tenant LowCardinality(String),
    signal LowCardinality(String),
    ${identity_columns},
    service_namespace LowCardinality(String),
    service_name LowCardinality(String),
    hour DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
    rows SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    bytes SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1))
)
ENGINE = ${aggregating}
PARTITION BY toYYYYMM(hour)
ORDER BY (tenant, signal, cluster, environment, namespace, workload_kind, workload_name, service_namespace, service_name, hour)
TTL hour + INTERVAL ${retention_rollup_days} DAY
SETTINGS ${table_settings}
