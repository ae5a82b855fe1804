CREATE MATERIALIZED VIEW IF NOT EXISTS metric_volume_mv TO telemetry_volume_1h AS
WITH
    ${point_times} AS times,
    arrayConcat(
        arrayFlatten(${scope_metrics.metrics.gauge.data_points.size_bytes}),
        arrayFlatten(${scope_metrics.metrics.sum.data_points.size_bytes}),
        arrayFlatten(${scope_metrics.metrics.histogram.data_points.size_bytes}),
        arrayFlatten(${scope_metrics.metrics.exponential_histogram.data_points.size_bytes}),
        arrayFlatten(${scope_metrics.metrics.summary.data_points.size_bytes})) AS sizes
${volume_of(metrics, metric_resources)}
