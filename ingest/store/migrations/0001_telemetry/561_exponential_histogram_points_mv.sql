CREATE MATERIALIZED VIEW IF NOT EXISTS exponential_histogram_points_mv TO exponential_histogram_points AS
SELECT
    ${metric_names},
    ${attributes_of(point)} AS attributes,
    ${fingerprint} AS fingerprint,
    ${point.start_time_unix_nano} AS start_ns,
    ${point.time_unix_nano} AS time_ns,
    ${point.count} AS count,
    ifNull(${point.sum}, 0) AS sum,
    ${point.scale} AS scale,
    ${point.zero_count} AS zero_count,
    ${point.zero_threshold} AS zero_threshold,
    ${point.positive.offset} AS positive_offset,
    ${point.positive.bucket_counts} AS positive_counts,
    ${point.negative.offset} AS negative_offset,
    ${point.negative.bucket_counts} AS negative_counts,
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
        'exponential_histogram' AS kind,
        ${exponential_histogram.aggregation_temporality} AS temporality,
        false AS is_monotonic,
        arrayJoin(${exponential_histogram.data_points}) AS point
    FROM distributions
    WHERE notEmpty(${exponential_histogram.data_points})
)
