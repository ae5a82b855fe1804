-- Everything that ever sent telemetry: one row per workload, service, container and node, with its latest resource
-- attributes (read with argMaxMerge).
CREATE TABLE IF NOT EXISTS workloads
(
    tenant LowCardinality(String),
    ${identity_columns},
    service_namespace LowCardinality(String),
    service_name LowCardinality(String),
    container LowCardinality(String),
    node LowCardinality(String),
    first_seen_at SimpleAggregateFunction(min, DateTime64(9, 'UTC')),
    last_seen_at SimpleAggregateFunction(max, DateTime64(9, 'UTC')),
    attributes AggregateFunction(argMax, Map(LowCardinality(String), String), DateTime64(9, 'UTC'))
)
ENGINE = ${aggregating}
ORDER BY (tenant, cluster, environment, namespace, workload_kind, workload_name, service_namespace, service_name, container, node)
TTL toDateTime(last_seen_at) + INTERVAL ${retention_rollup_days} DAY
SETTINGS ${table_settings}
