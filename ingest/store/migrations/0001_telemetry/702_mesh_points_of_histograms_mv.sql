-- The same sums where a histogram comes as one (OTLP), under the name that Prometheus gives its sum; and its count where nothing else
-- says how many requests there were.
CREATE MATERIALIZED VIEW IF NOT EXISTS mesh_points_of_histograms_mv TO mesh_points AS
SELECT
    ${resource_names},
    part.1 AS name,
    attributes,
    time_ns,
    part.2 AS value,
    temporality = 1 AS is_delta
FROM histogram_points AS point
ARRAY JOIN if(
    point.name LIKE 'kn\_serving\_%' OR point.name LIKE 'kn.serving.%',
    [('kn_serving_invocation_duration_seconds_sum', sum), ('kn_serving_invocation_duration_seconds_count', toFloat64(count))],
    [(concat(point.name, '_sum'), sum)]) AS part
WHERE point.name IN (
    'istio_request_duration_milliseconds', 'istio_request_bytes', 'istio_response_bytes', 'response_latency_ms',
    'envoy_cluster_upstream_rq_time', 'envoy_http_downstream_rq_time', 'revision_request_latencies',
    'kn.serving.invocation.duration', 'kn_serving_invocation_duration_seconds')
    AND bitAnd(flags, 1) = 0 AND isFinite(sum)
