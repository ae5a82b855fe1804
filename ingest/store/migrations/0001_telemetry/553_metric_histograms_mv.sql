CREATE MATERIALIZED VIEW IF NOT EXISTS metric_histograms_mv TO metric_histograms AS
SELECT
    tenant,
    _batch,
    name AS MetricName,
    fingerprint,
    ${time(time_ns)} AS TimeUnix,
    ${time(start_ns)} AS StartTimeUnix,
    count AS Count,
    sum AS Sum,
    bucket_counts AS BucketCounts,
    explicit_bounds AS ExplicitBounds,
    min AS Min,
    max AS Max,
    flags AS Flags,
    ${exemplar_columns}
FROM histogram_points
