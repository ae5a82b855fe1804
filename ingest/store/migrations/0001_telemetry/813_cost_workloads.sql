-- What a workload that a day's costs know is called. Rows count only while cost_days names their posting.
CREATE TABLE IF NOT EXISTS cost_workloads
(
    tenant LowCardinality(String),
    posting UInt64 CODEC(Delta(8), ZSTD(1)),
    day Date CODEC(Delta(2), ZSTD(1)),
    workload_id UInt64 CODEC(ZSTD(1)),
    cluster LowCardinality(String),
    environment LowCardinality(String),
    namespace LowCardinality(String),
    workload_kind LowCardinality(String),
    workload_name String CODEC(ZSTD(1))
)
ENGINE = ${merge_tree}
PARTITION BY toYYYYMM(day)
ORDER BY (tenant, day, posting, workload_id)
TTL day + INTERVAL ${retention_costs_days} DAY
SETTINGS ${table_settings}
