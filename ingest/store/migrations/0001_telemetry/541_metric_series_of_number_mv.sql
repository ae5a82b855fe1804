CREATE MATERIALIZED VIEW IF NOT EXISTS metric_series_of_number_mv TO metric_series AS
${series_of(number_points, NOT is_known)}
