-- Unfolds gauges and sums; a metric has one of the two.
CREATE MATERIALIZED VIEW IF NOT EXISTS number_points_mv TO number_points AS
SELECT
    ${metric_names},
    ${attributes_of(point)} AS attributes,
    ${fingerprint} AS fingerprint,
    point.start_time_unix_nano AS start_ns,
    point.time_unix_nano AS time_ns,
    ifNull(point.as_double, toFloat64(ifNull(point.as_int, 0))) AS value,
    point.flags AS flags,
    ${exemplars_unfolded}
FROM
(
    SELECT
        ${metric_named},
        if(notEmpty(metric.gauge.data_points), 'gauge', 'sum') AS kind,
        metric.sum.aggregation_temporality AS temporality,
        metric.sum.is_monotonic AS is_monotonic,
        arrayJoin(if(notEmpty(metric.gauge.data_points), metric.gauge.data_points, metric.sum.data_points)) AS point
    FROM ${metrics_unfolded}
)
