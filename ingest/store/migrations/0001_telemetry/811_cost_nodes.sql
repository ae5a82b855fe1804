-- What a node or machine costs in an hour, in 1e-9 US dollars of list prices, split between CPU and memory by what they are worth;
-- and for how many seconds of the hour, from when to when, samples know it. Rows count only while cost_days names their posting.
CREATE TABLE IF NOT EXISTS cost_nodes
(
    tenant LowCardinality(String),
    posting UInt64 CODEC(Delta(8), ZSTD(1)),
    hour DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
    node_id UInt64 CODEC(ZSTD(1)),
    cluster LowCardinality(String),
    node LowCardinality(String),
    host_type LowCardinality(String),
    begin DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
    end DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
    seconds Int64 CODEC(T64, ZSTD(1)),
    cpu_nano Int64 CODEC(T64, ZSTD(1)),
    memory_nano Int64 CODEC(T64, ZSTD(1))
)
ENGINE = ${merge_tree}
PARTITION BY toYYYYMM(hour)
ORDER BY (tenant, toDate(hour), posting, node_id, hour)
TTL hour + INTERVAL ${retention_costs_days} DAY
SETTINGS ${table_settings}
