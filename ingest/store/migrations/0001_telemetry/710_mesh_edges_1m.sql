-- Who called whom in a minute, as one proxy counted it; both ends of a call may have a row, and who asks takes one of them
-- (`reporter`, analytics/mesh_edges.py). origin: metrics or access_log. proxy: sidecar, waypoint, ztunnel or queue-proxy. security: mutual_tls,
-- none or '' (not known). protocol: as the mesh says. Request bytes go from the source to the destination, response bytes back.
-- source_zone, destination_zone: only what the mesh itself says of the ends of a call; analytics/mesh_zones.py finds out the others,
-- by where the proxy is (proxy_*) and by the address of the other end (peer_address: of the source if the destination tells; else
-- of the destination; private addresses only).
-- instance: which proxy. counter: which of its counters, or which edge of its log: whatever else tells a row from others, as one
-- number. Both are the same for all who scrape it. *_total: counters as reported, at
-- their highest within the minute, NULL where it was not reported; *_delta: growth. Both merge whatever comes twice or late.
-- per_30s_*: Polaris says how many requests there were in the last 30 s.
CREATE TABLE IF NOT EXISTS mesh_edges_1m
(
    tenant LowCardinality(String),
    mesh LowCardinality(String),
    origin LowCardinality(String),
    proxy LowCardinality(String),
    reporter LowCardinality(String),
    source_cluster LowCardinality(String),
    source_namespace LowCardinality(String),
    source_workload LowCardinality(String),
    source_zone LowCardinality(String),
    destination_cluster LowCardinality(String),
    destination_namespace LowCardinality(String),
    destination_workload LowCardinality(String),
    destination_service LowCardinality(String),
    destination_zone LowCardinality(String),
    protocol LowCardinality(String),
    response_class LowCardinality(String),
    response_flags LowCardinality(String),
    security LowCardinality(String),
    peer_address LowCardinality(String),
    instance UInt64,
    counter UInt64,
    minute DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
    requests_total SimpleAggregateFunction(max, Nullable(Float64)) CODEC(ZSTD(1)),
    request_bytes_total SimpleAggregateFunction(max, Nullable(Float64)) CODEC(ZSTD(1)),
    response_bytes_total SimpleAggregateFunction(max, Nullable(Float64)) CODEC(ZSTD(1)),
    connections_total SimpleAggregateFunction(max, Nullable(Float64)) CODEC(ZSTD(1)),
    duration_ms_total SimpleAggregateFunction(max, Nullable(Float64)) CODEC(ZSTD(1)),
    requests_delta SimpleAggregateFunction(sum, Float64) CODEC(ZSTD(1)),
    request_bytes_delta SimpleAggregateFunction(sum, Float64) CODEC(ZSTD(1)),
    response_bytes_delta SimpleAggregateFunction(sum, Float64) CODEC(ZSTD(1)),
    connections_delta SimpleAggregateFunction(sum, Float64) CODEC(ZSTD(1)),
    duration_ms_delta SimpleAggregateFunction(sum, Float64) CODEC(ZSTD(1)),
    per_30s_sum SimpleAggregateFunction(sum, Float64) CODEC(ZSTD(1)),
    per_30s_samples SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    ${mesh_proxy_columns}
)
ENGINE = ${aggregating}
PARTITION BY toDate(minute)
ORDER BY (
    tenant, mesh, origin, proxy, reporter, source_cluster, source_namespace, source_workload, source_zone, destination_cluster,
    destination_namespace, destination_workload, destination_service, destination_zone, protocol, response_class,
    response_flags, security, peer_address, instance, counter, minute)
TTL minute + INTERVAL ${retention_rollup_days} DAY
SETTINGS ${table_settings}
