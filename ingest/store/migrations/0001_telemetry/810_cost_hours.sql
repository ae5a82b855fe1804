-- What a workload, or nobody (workload_id 0: idle capacity, what the system keeps), bears of a node, a volume or functions in an
-- hour, in 1e-9 US dollars of list prices. Container lines of a node's hour, idle and system together are what the node costs
-- then; used_nano is the part that was used. paid_from and paid_until are when in the hour it ran there; 1970 where nobody knows.
-- Rows count only while cost_days names their posting for their day: read the view `costs`. They stay until they are replaced.
CREATE TABLE IF NOT EXISTS cost_hours
(
    tenant LowCardinality(String),
    posting UInt64 CODEC(Delta(8), ZSTD(1)),
    hour DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
    workload_id UInt64 CODEC(ZSTD(1)),
    cluster LowCardinality(String),
    node LowCardinality(String),
    line LowCardinality(String),
    cpu_nano Int64 CODEC(T64, ZSTD(1)),
    memory_nano Int64 CODEC(T64, ZSTD(1)),
    functions_nano Int64 CODEC(T64, ZSTD(1)),
    storage_nano Int64 CODEC(T64, ZSTD(1)),
    used_nano Int64 CODEC(T64, ZSTD(1)),
    paid_from DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
    paid_until DateTime('UTC') CODEC(Delta(4), ZSTD(1))
)
ENGINE = ${merge_tree}
PARTITION BY toYYYYMM(hour)
ORDER BY (tenant, toDate(hour), posting, workload_id, cluster, node, line, hour)
TTL hour + INTERVAL ${retention_costs_days} DAY
SETTINGS ${table_settings}
