-- Samples as Prometheus counts them: a series is its labels, and has one value at a time, the one that came last; so what came out of
-- order, or twice in different requests, is there once and in its place. Stale markers are rows, as they came.
CREATE VIEW IF NOT EXISTS prometheus_samples AS
SELECT
    point.tenant AS tenant,
    point.MetricName AS MetricName,
    mapFilter(
        (label, text) -> text != '',
        mapConcat(
            series.Attributes,
            map(
                '__name__', point.MetricName,
                'job', concat(
                    simpleJSONExtractString(series.ResourceJson, 'service.namespace'),
                    if(simpleJSONExtractString(series.ResourceJson, 'service.namespace') = '', '', '/'),
                    series.ServiceName),
                'instance', simpleJSONExtractString(series.ResourceJson, 'service.instance.id')))) AS labels,
    point.TimeUnix AS TimeUnix,
    point.Value AS Value
FROM
(
    SELECT tenant, MetricName, fingerprint, TimeUnix, Value
    FROM metric_samples AS point
    WHERE ${is_sample(point)}
    ORDER BY tenant, MetricName, fingerprint, TimeUnix, _batch DESC
    LIMIT 1 BY tenant, MetricName, fingerprint, TimeUnix
) AS point
INNER JOIN
(
    SELECT * FROM metric_series LIMIT 1 BY tenant, fingerprint
) AS series ON point.tenant = series.tenant AND point.fingerprint = series.fingerprint
