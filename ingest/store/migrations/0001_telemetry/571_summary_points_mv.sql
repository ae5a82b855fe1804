CREATE MATERIALIZED VIEW IF NOT EXISTS summary_points_mv TO summary_points AS
SELECT
    ${metric_names},
    ${attributes_of(point)} AS attributes,
    ${fingerprint} AS fingerprint,
    ${point.start_time_unix_nano} AS start_ns,
    ${point.time_unix_nano} AS time_ns,
    ${point.count} AS count,
    ${point.sum} AS sum,
    ${point.quantile_values.quantile} AS quantiles,
    ${point.quantile_values.value} AS quantile_values,
    ${point.size_bytes} AS size_bytes,
    ${point.flags} AS flags
FROM
(
    SELECT
        ${metric_named},
        metric_hash,
        'summary' AS kind,
        0 AS temporality,
        false AS is_monotonic,
        arrayJoin(${summary.data_points}) AS point
    FROM distributions
    WHERE notEmpty(${summary.data_points})
)
