-- Points of the kind summary in the columns of the OpenTelemetry Collector's ClickHouse exporter.
CREATE VIEW IF NOT EXISTS otel_metrics_summary AS
SELECT
    point.tenant AS tenant,
    series.ResourceAttributes AS ResourceAttributes,
    series.ResourceSchemaUrl AS ResourceSchemaUrl,
    series.ScopeName AS ScopeName,
    series.ScopeVersion AS ScopeVersion,
    series.ScopeAttributes AS ScopeAttributes,
    toUInt32(0) AS ScopeDroppedAttrCount,
    series.ScopeSchemaUrl AS ScopeSchemaUrl,
    series.ServiceName AS ServiceName,
    point.MetricName AS MetricName,
    series.MetricDescription AS MetricDescription,
    series.MetricUnit AS MetricUnit,
    series.Attributes AS Attributes,
    point.StartTimeUnix AS StartTimeUnix,
    point.TimeUnix AS TimeUnix,
    point.Count AS Count,
    point.Sum AS Sum,
    point.`ValueAtQuantiles.Quantile` AS `ValueAtQuantiles.Quantile`,
    point.`ValueAtQuantiles.Value` AS `ValueAtQuantiles.Value`,
    point.Flags AS Flags
FROM metric_summaries AS point
LEFT ANY JOIN
(
    SELECT * FROM metric_series WHERE kind = 'summary' LIMIT 1 BY tenant, fingerprint
) AS series ON point.tenant = series.tenant AND point.fingerprint = series.fingerprint
