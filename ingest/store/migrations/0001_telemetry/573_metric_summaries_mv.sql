CREATE MATERIALIZED VIEW IF NOT EXISTS metric_summaries_mv TO metric_summaries AS
SELECT
    tenant,
    _batch,
    name AS MetricName,
    fingerprint,
    ${time(time_ns)} AS TimeUnix,
    ${time(start_ns)} AS StartTimeUnix,
    count AS Count,
    sum AS Sum,
    quantiles AS `ValueAtQuantiles.Quantile`,
    quantile_values AS `ValueAtQuantiles.Value`,
    flags AS Flags
FROM summary_points
