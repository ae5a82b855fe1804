-- When a pod, and each of its containers, first went a step of its start, by Kubernetes' events (Collector's k8s_events receiver).
-- reason: Scheduled, Pulling, Pulled, Created, Started. container: empty for Scheduled. pull_s: of Pulled, how long it took as the
-- kubelet says, NULL if the image was there. The events of a container that starts again come later, and change nothing.
CREATE TABLE IF NOT EXISTS pod_start_events
(
    tenant LowCardinality(String),
    cluster LowCardinality(String),
    namespace LowCardinality(String),
    pod String CODEC(ZSTD(1)),
    uid String CODEC(ZSTD(1)),
    container LowCardinality(String),
    reason LowCardinality(String),
    day Date CODEC(ZSTD(1)),
    first_at SimpleAggregateFunction(min, DateTime64(3, 'UTC')) CODEC(ZSTD(1)),
    pull_s SimpleAggregateFunction(max, Nullable(Float64)) CODEC(ZSTD(1)),
    is_demo SimpleAggregateFunction(max, UInt8) CODEC(ZSTD(1))
)
ENGINE = ${aggregating}
PARTITION BY day
ORDER BY (tenant, cluster, namespace, pod, uid, container, reason, day)
TTL day + INTERVAL ${retention_rollup_days} DAY
SETTINGS ${table_settings}
