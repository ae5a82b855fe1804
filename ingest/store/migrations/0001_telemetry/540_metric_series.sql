-- What each fingerprint stands for, one row a series (after merges; read with LIMIT 1 BY). A row is written with the first
-- points of a day (UTC, of the points' own time), so last_seen_at is right to the day, and rows are kept a day longer than
-- points. A point that comes after newer ones were merged writes its day again.
CREATE TABLE IF NOT EXISTS metric_series
(
    tenant LowCardinality(String),
    fingerprint UInt64,
    kind LowCardinality(String),
    AggregationTemporality UInt8,
    IsMonotonic Bool,
    ${json_columns},
    ResourceSchemaUrl LowCardinality(String),
    ScopeName LowCardinality(String),
    ScopeVersion LowCardinality(String),
    ScopeSchemaUrl LowCardinality(String),
    ServiceName LowCardinality(String),
    MetricName LowCardinality(String),
    MetricDescription LowCardinality(String),
    MetricUnit LowCardinality(String),
    Attributes Map(LowCardinality(String), String),
    last_seen_at DateTime('UTC'),
    INDEX fingerprints fingerprint TYPE bloom_filter(0.001) GRANULARITY 1
)
ENGINE = ${replacing}(last_seen_at)
ORDER BY (tenant, MetricName, fingerprint)
TTL last_seen_at + INTERVAL 24 HOUR + INTERVAL ${retention_metrics_days} DAY
SETTINGS ${table_settings}
