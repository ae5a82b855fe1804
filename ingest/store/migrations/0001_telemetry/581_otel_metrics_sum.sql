-- Points of the kind sum in the columns of the OpenTelemetry Collector's ClickHouse exporter.
CREATE VIEW IF NOT EXISTS otel_metrics_sum AS
SELECT
    ${series_shown},
    point.Value AS Value,
    point.Flags AS Flags,
    ${exemplars_shown},
    series.AggregationTemporality::Int32 AS AggregationTemporality,
    series.IsMonotonic AS IsMonotonic
FROM metric_samples AS point
${with_series(sum)}
WHERE ${is_sample(point)}
