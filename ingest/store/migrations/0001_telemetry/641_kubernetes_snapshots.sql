-- The snapshots of clusters: one row for each, written by one insert after all its objects are there. That makes them count.
CREATE TABLE IF NOT EXISTS kubernetes_snapshots
(
    tenant LowCardinality(String),
    cluster LowCardinality(String),
    snapshot_id String,
    taken_at DateTime64(3, 'UTC'),
    imported_at DateTime64(3, 'UTC'),
    file String,
    digest String,
    objects UInt64
)
ENGINE = ${merge_tree}
PARTITION BY toYYYYMM(taken_at)
ORDER BY (tenant, cluster, taken_at, imported_at)
TTL toDateTime(taken_at) + INTERVAL ${retention_rollup_days} DAY
SETTINGS ${table_settings}
