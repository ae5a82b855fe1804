CREATE MATERIALIZED VIEW IF NOT EXISTS metric_volume_of_number_mv TO telemetry_volume_1h AS
${metric_volume(number_points)}
