CREATE MATERIALIZED VIEW IF NOT EXISTS metric_samples_mv TO metric_samples AS
SELECT
    tenant,
    _batch,
    name AS MetricName,
    fingerprint,
    ${time(time_ns)} AS TimeUnix,
    ${time(start_ns)} AS StartTimeUnix,
    value AS Value,
    flags AS Flags,
    ${exemplar_columns}
FROM number_points
