-- What a persistent volume costs in an hour, in 1e-9 US dollars of list prices. Rows count only while cost_days names their
-- posting.
CREATE TABLE IF NOT EXISTS cost_volumes
(
    tenant LowCardinality(String),
    posting UInt64 CODEC(Delta(8), ZSTD(1)),
    hour DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
    cluster LowCardinality(String),
    volume LowCardinality(String),
    nano Int64 CODEC(T64, ZSTD(1))
)
ENGINE = ${merge_tree}
PARTITION BY toYYYYMM(hour)
ORDER BY (tenant, toDate(hour), posting, cluster, volume, hour)
TTL hour + INTERVAL ${retention_costs_days} DAY
SETTINGS ${table_settings}
