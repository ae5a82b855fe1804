CREATE MATERIALIZED VIEW IF NOT EXISTS metric_series_of_exponential_histogram_mv TO metric_series AS
${series_of(exponential_histogram_points, true)}
