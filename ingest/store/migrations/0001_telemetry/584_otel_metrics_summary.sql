-- Points of the kind summary in the columns of the OpenTelemetry Collector's ClickHouse exporter.
CREATE VIEW IF NOT EXISTS otel_metrics_summary AS
SELECT
    ${series_shown},
    point.Count AS Count,
    point.Sum AS Sum,
    point.`ValueAtQuantiles.Quantile` AS `ValueAtQuantiles.Quantile`,
    point.`ValueAtQuantiles.Value` AS `ValueAtQuantiles.Value`,
    point.Flags AS Flags
FROM metric_summaries AS point
${with_series(summary)}
