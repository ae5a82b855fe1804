-- Lines of proxies' access logs, one row each, and other lines of proxies' containers. Keeps nothing; the lines are in otel_logs.
-- form: text (Envoy's or Istio's default), json (Istio's keys), attributes (the same keys, parsed before or from Envoy's gRPC
-- service), unknown (an access log that could not be read), other (no access log, or a format of one's own). Only the first three
-- have the columns below. direction: inbound to the workload, outbound from it, or waypoint: to another one.
-- is_grpc_error: answered with 2xx, and a gRPC status that is a server's fault.
-- own_address, peer_address: of the workload's pod and of the other end, if they are private; own_address of inbound ones only.
-- upstream_ms: what Envoy waited for the one it asked, NULL if it did not say; duration_ms: all of it.
CREATE TABLE IF NOT EXISTS access_log_entries
(
    ${resource_columns},
    time_ns UInt64,
    form LowCardinality(String),
    direction LowCardinality(String),
    start_ns UInt64,
    end_ns UInt64,
    is_http Bool,
    is_probe Bool,
    response_code UInt16,
    is_grpc_error Bool,
    response_flags LowCardinality(String),
    request_bytes Float64,
    response_bytes Float64,
    duration_ms Float64,
    upstream_ms Nullable(Float64),
    is_istio Bool,
    asked_service LowCardinality(String),
    security LowCardinality(String),
    own_address LowCardinality(String),
    peer_address LowCardinality(String)
)
ENGINE = Null
