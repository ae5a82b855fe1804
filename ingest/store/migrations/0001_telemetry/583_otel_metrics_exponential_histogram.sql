-- Points of the kind exponential_histogram in the columns of the OpenTelemetry Collector's ClickHouse exporter.
CREATE VIEW IF NOT EXISTS otel_metrics_exponential_histogram AS
SELECT
    ${series_shown},
    point.Count AS Count,
    point.Sum AS Sum,
    point.Scale AS Scale,
    point.ZeroCount AS ZeroCount,
    point.ZeroThreshold AS ZeroThreshold,
    point.PositiveOffset AS PositiveOffset,
    point.PositiveBucketCounts AS PositiveBucketCounts,
    point.NegativeOffset AS NegativeOffset,
    point.NegativeBucketCounts AS NegativeBucketCounts,
    point.Min AS Min,
    point.Max AS Max,
    point.Flags AS Flags,
    ${exemplars_shown},
    series.AggregationTemporality::Int32 AS AggregationTemporality
FROM metric_exponential_histograms AS point
${with_series(exponential_histogram)}
