-- What kube-state-metrics says of an object: the last value within a period, which is an hour, and a minute for what an
-- autoscaler or a controller wants and has. fact: the name of the metric. part: which of several of one object (container and
-- resource, resource, claim, address). labels: what else the metric says, without who is meant and who scraped. Two scrapers
-- make one row of it; read with FINAL.
CREATE TABLE IF NOT EXISTS kubernetes_facts
(
    tenant LowCardinality(String),
    cluster LowCardinality(String),
    fact LowCardinality(String),
    kind LowCardinality(String),
    namespace LowCardinality(String),
    name String CODEC(ZSTD(1)),
    uid String CODEC(ZSTD(1)),
    part LowCardinality(String),
    period DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
    value Float64 CODEC(ZSTD(1)),
    labels Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    seen_at DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1))
)
ENGINE = ${replacing}(seen_at)
PARTITION BY toDate(period)
ORDER BY (tenant, fact, cluster, namespace, name, uid, part, period)
TTL period + INTERVAL ${retention_rollup_days} DAY
SETTINGS ${table_settings}
