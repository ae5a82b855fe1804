-- Lines of proxies by hour and by how they were read (form, as in access_log_entries): what was not understood is counted here.
CREATE TABLE IF NOT EXISTS access_log_1h
(
    tenant LowCardinality(String),
    ${identity_columns},
    service_namespace LowCardinality(String),
    service_name LowCardinality(String),
    form LowCardinality(String),
    hour DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
    lines SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1))
)
ENGINE = ${aggregating}
PARTITION BY toDate(hour)
ORDER BY (tenant, cluster, environment, namespace, workload_kind, workload_name, service_namespace, service_name, form, hour)
TTL hour + INTERVAL ${retention_rollup_days} DAY
SETTINGS ${table_settings}
