-- Unfolds gauges and sums; a metric has one of the two. The loader says which series a point is of, but for requests that it
-- could not walk.
CREATE MATERIALIZED VIEW IF NOT EXISTS number_points_mv TO number_points AS
SELECT
    ${metric_names},
    ${attributes_of(point)} AS attributes,
    multiIf(
        is_known, ${point.known_fingerprint},
        ${point.fingerprint} != 0, ${point.fingerprint},
        ${fingerprint}) AS fingerprint,
    ${point.known_fingerprint} != 0 AS is_known,
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
