CREATE MATERIALIZED VIEW IF NOT EXISTS metric_volume_of_exponential_histogram_mv TO telemetry_volume_1h AS
${metric_volume(exponential_histogram_points)}
