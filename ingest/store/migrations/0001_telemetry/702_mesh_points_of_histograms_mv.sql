-- The same sums where a histogram comes as one (OTLP), under the name that Prometheus gives its sum.
CREATE MATERIALIZED VIEW IF NOT EXISTS mesh_points_of_histograms_mv TO mesh_points AS
SELECT
    ${resource_names},
    concat(point.name, '_sum') AS name,
    attributes,
    time_ns,
    sum AS value,
    temporality = 1 AS is_delta
FROM histogram_points AS point
WHERE point.name IN (
    'istio_request_duration_milliseconds', 'istio_request_bytes', 'istio_response_bytes', 'response_latency_ms',
    'envoy_cluster_upstream_rq_time', 'envoy_http_downstream_rq_time')
    AND bitAnd(flags, 1) = 0 AND isFinite(sum)
