-- Unfolds gauges and sums; a metric has one of the two.
CREATE MATERIALIZED VIEW IF NOT EXISTS number_points_mv TO number_points AS
SELECT
    ${metric_names},
    ${attributes_of(point)} AS attributes,
    ${fingerprint} AS fingerprint,
    ${point.start_time_unix_nano} AS start_ns,
    ${point.time_unix_nano} AS time_ns,
    ifNull(${point.as_double}, toFloat64(ifNull(${point.as_int}, 0))) AS value,
    ${point.size_bytes} AS size_bytes,
    ${point.flags} AS flags,
    ${exemplars_unfolded}
FROM
(
    SELECT
        ${metric_named},
        metric_hash,
        if(notEmpty(${gauge.data_points}), 'gauge', 'sum') AS kind,
        ${sum.aggregation_temporality} AS temporality,
        ${sum.is_monotonic} AS is_monotonic,
        arrayJoin(if(notEmpty(${gauge.data_points}), ${gauge.data_points}, ${sum.data_points})) AS point
    FROM metrics
    WHERE notEmpty(${gauge.data_points}) OR notEmpty(${sum.data_points})
)
