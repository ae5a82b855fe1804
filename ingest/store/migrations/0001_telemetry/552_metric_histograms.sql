-- Points of histograms, one row each; what a fingerprint stands for is in metric_series. Sum, Min and Max are 0 where absent.
CREATE TABLE IF NOT EXISTS metric_histograms
(
    tenant LowCardinality(String) CODEC(ZSTD(1)),
    _batch UInt64 CODEC(Delta(8), ZSTD(1)),
    MetricName LowCardinality(String) CODEC(ZSTD(1)),
    fingerprint UInt64 CODEC(ZSTD(1)),
    TimeUnix DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)),
    StartTimeUnix DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)),
    Count UInt64 CODEC(ZSTD(1)),
    Sum Float64 CODEC(ZSTD(1)),
    BucketCounts Array(UInt64) CODEC(ZSTD(1)),
    ExplicitBounds Array(Float64) CODEC(ZSTD(1)),
    Min Float64 CODEC(ZSTD(1)),
    Max Float64 CODEC(ZSTD(1)),
    Flags UInt32 CODEC(ZSTD(1)),
    ${exemplars_kept}
)
ENGINE = ${merge_tree}
PARTITION BY toDate(TimeUnix)
ORDER BY (tenant, MetricName, fingerprint, TimeUnix)
TTL toDateTime(TimeUnix) + INTERVAL ${retention_metrics_days} DAY
SETTINGS ${table_settings}
