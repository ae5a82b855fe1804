-- Points of the kind gauge in the columns of the OpenTelemetry Collector's ClickHouse exporter.
CREATE VIEW IF NOT EXISTS otel_metrics_gauge AS
SELECT
    ${series_shown},
    point.Value AS Value,
    point.Flags AS Flags,
    ${exemplars_shown}
FROM metric_samples AS point
${with_series(gauge)}
WHERE ${is_sample(point)}
