-- Of these metrics: the times of the samples that are stored already in (from, to], one row a series. Not from the view
-- prometheus_samples, into which the engine would not take the conditions.
SELECT
    any(series.MetricName) AS name,
    any(series.Attributes) AS attributes,
    any(simpleJSONExtractString(series.ResourceJson, 'service.namespace')) AS namespace,
    any(series.ServiceName) AS service,
    any(simpleJSONExtractString(series.ResourceJson, 'service.instance.id')) AS instance,
    groupArray(toUnixTimestamp64Milli(point.TimeUnix)) AS times
FROM
(
    SELECT fingerprint, TimeUnix
    FROM metric_samples
    WHERE MetricName IN {names:Array(String)}
        AND TimeUnix > fromUnixTimestamp64Milli({from_ms:Int64})
        AND TimeUnix <= fromUnixTimestamp64Milli({to_ms:Int64})
        AND bitAnd(Flags, 2147483648) = 0
) AS point
INNER JOIN
(
    SELECT * FROM metric_series WHERE MetricName IN {names:Array(String)} LIMIT 1 BY fingerprint
) AS series ON point.fingerprint = series.fingerprint
GROUP BY point.fingerprint
FORMAT JSONEachRow
