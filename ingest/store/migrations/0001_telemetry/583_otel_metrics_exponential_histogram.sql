-- Points of the kind exponential_histogram in the columns of the OpenTelemetry Collector's ClickHouse exporter.
CREATE VIEW IF NOT EXISTS otel_metrics_exponential_histogram AS
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
    point.Exemplars.FilteredAttributes AS `Exemplars.FilteredAttributes`,
    point.Exemplars.TimeUnix AS `Exemplars.TimeUnix`,
    point.Exemplars.Value AS `Exemplars.Value`,
    point.Exemplars.SpanId AS `Exemplars.SpanId`,
    point.Exemplars.TraceId AS `Exemplars.TraceId`,
    series.AggregationTemporality::Int32 AS AggregationTemporality
FROM metric_exponential_histograms AS point
LEFT ANY JOIN
(
    SELECT * FROM metric_series WHERE kind = 'exponential_histogram' LIMIT 1 BY tenant, fingerprint
) AS series ON point.tenant = series.tenant AND point.fingerprint = series.fingerprint
