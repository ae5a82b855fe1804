CREATE MATERIALIZED VIEW IF NOT EXISTS metric_series_of_summary_mv TO metric_series AS
${series_of(summary_points, true)}
