CREATE MATERIALIZED VIEW IF NOT EXISTS metric_exponential_histograms_mv TO metric_exponential_histograms AS
SELECT
    tenant,
    _batch,
    name AS MetricName,
    fingerprint,
    ${time(time_ns)} AS TimeUnix,
    ${time(start_ns)} AS StartTimeUnix,
    count AS Count,
    sum AS Sum,
    scale AS Scale,
    zero_count AS ZeroCount,
    zero_threshold AS ZeroThreshold,
    positive_offset AS PositiveOffset,
    positive_counts AS PositiveBucketCounts,
    negative_offset AS NegativeOffset,
    negative_counts AS NegativeBucketCounts,
    min AS Min,
    max AS Max,
    flags AS Flags,
    ${exemplar_columns}
FROM exponential_histogram_points
