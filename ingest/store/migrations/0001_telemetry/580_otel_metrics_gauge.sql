-- Points of the kind gauge in the columns of the OpenTelemetry Collector's ClickHouse exporter.
CREATE VIEW IF NOT EXISTS otel_metrics_gauge AS
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
    point.Value AS Value,
    point.Flags AS Flags,
    point.Exemplars.FilteredAttributes AS `Exemplars.FilteredAttributes`,
    point.Exemplars.TimeUnix AS `Exemplars.TimeUnix`,
    point.Exemplars.Value AS `Exemplars.Value`,
    point.Exemplars.SpanId AS `Exemplars.SpanId`,
    point.Exemplars.TraceId AS `Exemplars.TraceId`
FROM metric_samples AS point
INNER JOIN
(
    SELECT * FROM metric_series WHERE kind = 'gauge' LIMIT 1 BY tenant, fingerprint
) AS series ON point.tenant = series.tenant AND point.fingerprint = series.fingerprint
