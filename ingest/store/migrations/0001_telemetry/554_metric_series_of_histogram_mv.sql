CREATE MATERIALIZED VIEW IF NOT EXISTS metric_series_of_histogram_mv TO metric_series AS
${series_of(histogram_points, true)}
