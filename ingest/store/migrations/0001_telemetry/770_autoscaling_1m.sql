-- What an autoscaler wanted or saw in a minute. autoscaler: knative, keda or hpa. name: the revision, ScaledObject or HPA;
-- service: of Knative, whose revision it is. part: KEDA's scaler and metric, or a pod. measure: desired_pods, pods (there now),
-- requested_pods, not_ready_pods, pending_pods, terminating_pods, min_pods, max_pods, stable_/panic_/target_concurrency (a pod),
-- stable_/panic_/target_requests_per_s (a pod), activator_concurrency (all requests that wait or pass there), panic_mode (0 or 1),
-- excess_burst_capacity, queue_depth (requests in one pod or before it; part: the pod), metric_value, active, paused. last: (when, value). Nought is a value like others.
CREATE TABLE IF NOT EXISTS autoscaling_1m
(
    tenant LowCardinality(String),
    autoscaler LowCardinality(String),
    cluster LowCardinality(String),
    namespace LowCardinality(String),
    service LowCardinality(String),
    name String CODEC(ZSTD(1)),
    measure LowCardinality(String),
    part LowCardinality(String),
    minute DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
    lowest SimpleAggregateFunction(min, Float64) CODEC(ZSTD(1)),
    highest SimpleAggregateFunction(max, Float64) CODEC(ZSTD(1)),
    last SimpleAggregateFunction(max, Tuple(DateTime64(3, 'UTC'), Float64)) CODEC(ZSTD(1)),
    is_demo SimpleAggregateFunction(max, UInt8) CODEC(ZSTD(1))
)
ENGINE = ${aggregating}
PARTITION BY toDate(minute)
ORDER BY (tenant, autoscaler, cluster, namespace, service, name, measure, part, minute)
TTL minute + INTERVAL ${retention_rollup_days} DAY
SETTINGS ${table_settings}
