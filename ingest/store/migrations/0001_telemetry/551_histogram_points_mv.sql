CREATE MATERIALIZED VIEW IF NOT EXISTS histogram_points_mv TO histogram_points AS
SELECT
    ${metric_names},
    ${attributes_of(point)} AS attributes,
    ${fingerprint} AS fingerprint,
    ${point.start_time_unix_nano} AS start_ns,
    ${point.time_unix_nano} AS time_ns,
    ${point.count} AS count,
    ifNull(${point.sum}, 0) AS sum,
    ${point.bucket_counts} AS bucket_counts,
    ${point.explicit_bounds} AS explicit_bounds,
    ifNull(${point.min}, 0) AS min,
    ifNull(${point.max}, 0) AS max,
    ${point.size_bytes} AS size_bytes,
    ${point.flags} AS flags,
    ${exemplars_unfolded}
FROM
(
    SELECT
        ${metric_named},
        metric_hash,
        'histogram' AS kind,
        ${histogram.aggregation_temporality} AS temporality,
        false AS is_monotonic,
        arrayJoin(${histogram.data_points}) AS point
    FROM distributions
    WHERE notEmpty(${histogram.data_points})
)
