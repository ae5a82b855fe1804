-- One side of a call each. A caller's row (CLIENT, PRODUCER) and its callee's (SERVER, CONSUMER with a parent) carry the
-- same trace_id and edge_id, the caller's span id; a consumer that links to what it took has a row per link. They may
-- arrive in any order and in different inserts; a job matches them.
CREATE TABLE IF NOT EXISTS half_edges
(
    tenant LowCardinality(String),
    Timestamp DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)),
    trace_id String CODEC(ZSTD(1)),
    edge_id String CODEC(ZSTD(1)),
    side Enum8('caller' = 1, 'callee' = 2, 'link' = 3),
    span_id String CODEC(ZSTD(1)),
    ${identity_columns},
    service_namespace LowCardinality(String),
    service_name LowCardinality(String),
    operation LowCardinality(String),
    source LowCardinality(String),
    peer_kind LowCardinality(String),
    peer_name LowCardinality(String),
    duration_ns UInt64 CODEC(ZSTD(1)),
    is_error UInt8 CODEC(ZSTD(1)),
    weight Decimal(18, 6) CODEC(ZSTD(1))
)
ENGINE = ${merge_tree}
PARTITION BY toDate(Timestamp)
ORDER BY (tenant, toStartOfHour(Timestamp), trace_id, edge_id, side)
TTL toDateTime(Timestamp) + INTERVAL ${retention_edges_days} DAY
SETTINGS ${table_settings}
