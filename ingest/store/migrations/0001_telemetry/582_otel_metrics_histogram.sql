-- Points of the kind histogram in the columns of the OpenTelemetry Collector's ClickHouse exporter.
CREATE VIEW IF NOT EXISTS otel_metrics_histogram AS
SELECT
    ${series_shown},
    point.Count AS Count,
    point.Sum AS Sum,
    point.BucketCounts AS BucketCounts,
    point.ExplicitBounds AS ExplicitBounds,
    point.Min AS Min,
    point.Max AS Max,
    point.Flags AS Flags,
    ${exemplars_shown},
    series.AggregationTemporality::Int32 AS AggregationTemporality
FROM metric_histograms AS point
${with_series(histogram)}
