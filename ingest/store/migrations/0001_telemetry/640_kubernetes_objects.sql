-- The objects of a cluster at one moment, as `kubectl get -o json` wrote them: one row for each object of a snapshot. workload_*: whose
-- work it is: of a pod its owner, or that one's (the Deployment of a ReplicaSet, the CronJob of a Job); of what owns pods, itself
-- or its owner; empty for all else. extract is JSON under Kubernetes' own names: of spec, status and annotations only what is named in
-- ingest/inventory/kinds.py, quantities as numbers of cores, bytes or pieces. created_at is 1970 where it is not said. Rows count only
-- if kubernetes_snapshots has their snapshot: read the view `kubernetes_inventory`.
CREATE TABLE IF NOT EXISTS kubernetes_objects
(
    tenant LowCardinality(String),
    cluster LowCardinality(String),
    snapshot_id LowCardinality(String),
    taken_at DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    imported_at DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    api_group LowCardinality(String),
    api_version LowCardinality(String),
    kind LowCardinality(String),
    namespace LowCardinality(String),
    name String CODEC(ZSTD(1)),
    uid String CODEC(ZSTD(1)),
    created_at DateTime('UTC') CODEC(ZSTD(1)),
    labels Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    owner_kind LowCardinality(String),
    owner_name String CODEC(ZSTD(1)),
    workload_kind LowCardinality(String),
    workload_name String CODEC(ZSTD(1)),
    extract String CODEC(ZSTD(1))
)
ENGINE = ${merge_tree}
PARTITION BY toYYYYMM(taken_at)
ORDER BY (tenant, cluster, snapshot_id, kind, namespace, name, api_group)
TTL toDateTime(taken_at) + INTERVAL ${retention_rollup_days} DAY
SETTINGS ${table_settings}
