-- The first request of each pod and day that anybody told: when it began, and how long it took. source: application (its own spans) or
-- access_log (its proxy's). A row a day, since a pod of a StatefulSet keeps its name when it starts again.
CREATE TABLE IF NOT EXISTS pod_first_requests
(
    tenant LowCardinality(String),
    ${identity_columns},
    pod String CODEC(ZSTD(1)),
    source LowCardinality(String),
    day Date CODEC(ZSTD(1)),
    first SimpleAggregateFunction(min, Tuple(begun_at DateTime64(9, 'UTC'), took_ms Float64)) CODEC(ZSTD(1))
)
ENGINE = ${aggregating}
PARTITION BY day
ORDER BY (tenant, cluster, environment, namespace, workload_kind, workload_name, pod, source, day)
TTL day + INTERVAL ${retention_rollup_days} DAY
SETTINGS ${table_settings}
