-- Counters of meshes, by the names Prometheus gives them, which say who calls whom: Istio's proxies and ztunnel, Linkerd's,
-- plain Envoy, Knative's queue proxies, as OpenCensus named them and since 1.19 OpenTelemetry, and (the last line) Polaris, whose counts are
-- gauges of 30 s. Of histograms their sums; whoever sends them whole is read in mesh_points_of_histograms_mv.
'istio_requests_total', 'istio_request_duration_milliseconds_sum', 'istio_request_bytes_sum', 'istio_response_bytes_sum',
    'istio_tcp_connections_opened_total', 'istio_tcp_received_bytes_total', 'istio_tcp_sent_bytes_total',
    'response_total', 'response_latency_ms_sum', 'tcp_open_total', 'tcp_read_bytes_total', 'tcp_write_bytes_total',
    'envoy_cluster_upstream_rq_xx', 'envoy_cluster_upstream_rq_time_sum', 'envoy_cluster_upstream_cx_total',
    'envoy_cluster_upstream_cx_tx_bytes_total', 'envoy_cluster_upstream_cx_rx_bytes_total',
    'envoy_http_downstream_rq_xx', 'envoy_http_downstream_rq_time_sum', 'envoy_http_downstream_cx_total',
    'envoy_http_downstream_cx_rx_bytes_total', 'envoy_http_downstream_cx_tx_bytes_total',
    'revision_request_count', 'revision_request_latencies_sum',
    'kn_serving_invocation_duration_seconds_count', 'kn_serving_invocation_duration_seconds_sum',
    'upstream_rq_total'
