CREATE MATERIALIZED VIEW IF NOT EXISTS distributions_mv TO distributions AS
SELECT
    ${metric_named},
    metric_hash,
    histogram,
    exponential_histogram,
    summary
FROM metrics
WHERE notEmpty(${histogram.data_points})
    OR notEmpty(${exponential_histogram.data_points})
    OR notEmpty(${summary.data_points})
