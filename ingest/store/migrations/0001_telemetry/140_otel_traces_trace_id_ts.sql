-- When each trace was seen, one row per insert: from a trace id to the partitions that hold it.
CREATE TABLE IF NOT EXISTS otel_traces_trace_id_ts
(
    tenant LowCardinality(String) CODEC(ZSTD(1)),
    TraceId String CODEC(ZSTD(1)),
    Start DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
    End DateTime('UTC') CODEC(Delta(4), ZSTD(1))
)
ENGINE = ${merge_tree}
PARTITION BY toDate(Start)
ORDER BY (tenant, TraceId, Start)
TTL Start + INTERVAL ${retention_traces_days} DAY
SETTINGS ${table_settings}
