-- What is to be said of a day's prices: of which node, volume or function (`name`; a function by its workload_id) there is no price,
-- or not one of a list. Rows count only while cost_days names their posting.
CREATE TABLE IF NOT EXISTS cost_remarks
(
    tenant LowCardinality(String),
    posting UInt64 CODEC(Delta(8), ZSTD(1)),
    day Date CODEC(Delta(2), ZSTD(1)),
    remark LowCardinality(String),
    name String CODEC(ZSTD(1))
)
ENGINE = ${merge_tree}
PARTITION BY toYYYYMM(day)
ORDER BY (tenant, day, posting, remark, name)
TTL day + INTERVAL ${retention_costs_days} DAY
SETTINGS ${table_settings}
