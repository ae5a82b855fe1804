-- What containers, pods, workloads and processes used and asked for, by minute. From metrics of the Collector's
-- kubeletstats, k8s_cluster and hostmetrics receivers, and from cAdvisor and kube-state-metrics, which know the pod and not
-- its workload: theirs is the pod itself, and kubernetes_facts has its owner. Rows with a container: CPU and memory. With a
-- pod and no container: network. With neither: replicas, and processes on a machine. counter: which of several counters of
-- one kind it is: the network interface, process id and CPU mode, or the id of the container in its runtime (`cpu` where none
-- is told). *_sum / *_samples is the mean; *_total are counters as reported, at their highest within the minute, *_last is
-- when it was read last and what it said then (less than the highest if it has been reset since); *_delta is what was reported
-- as growth.
CREATE TABLE IF NOT EXISTS usage_1m
(
    tenant LowCardinality(String),
    ${identity_columns},
    node LowCardinality(String),
    pod LowCardinality(String),
    container LowCardinality(String),
    counter LowCardinality(String),
    minute DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
    cpu_usage_cores_sum SimpleAggregateFunction(sum, Float64) CODEC(ZSTD(1)),
    cpu_usage_samples SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    memory_usage_bytes_sum SimpleAggregateFunction(sum, Float64) CODEC(ZSTD(1)),
    memory_usage_samples SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    memory_usage_bytes_max SimpleAggregateFunction(max, Float64) CODEC(ZSTD(1)),
    cpu_request_cores SimpleAggregateFunction(max, Float64) CODEC(ZSTD(1)),
    cpu_limit_cores SimpleAggregateFunction(max, Float64) CODEC(ZSTD(1)),
    memory_request_bytes SimpleAggregateFunction(max, Float64) CODEC(ZSTD(1)),
    memory_limit_bytes SimpleAggregateFunction(max, Float64) CODEC(ZSTD(1)),
    network_receive_bytes_total SimpleAggregateFunction(max, Float64) CODEC(ZSTD(1)),
    network_transmit_bytes_total SimpleAggregateFunction(max, Float64) CODEC(ZSTD(1)),
    network_receive_bytes_delta SimpleAggregateFunction(sum, Float64) CODEC(ZSTD(1)),
    network_transmit_bytes_delta SimpleAggregateFunction(sum, Float64) CODEC(ZSTD(1)),
    replicas_desired SimpleAggregateFunction(max, Float64) CODEC(ZSTD(1)),
    replicas_available SimpleAggregateFunction(max, Float64) CODEC(ZSTD(1)),
    cpu_time_s_total SimpleAggregateFunction(max, Float64) CODEC(ZSTD(1)),
    cpu_time_s_delta SimpleAggregateFunction(sum, Float64) CODEC(ZSTD(1)),
    cpu_time_s_last SimpleAggregateFunction(max, Tuple(at DateTime64(3, 'UTC'), total Float64)) CODEC(ZSTD(1)),
    started_at SimpleAggregateFunction(max, DateTime('UTC')) CODEC(ZSTD(1))
)
ENGINE = ${aggregating}
PARTITION BY toDate(minute)
ORDER BY (tenant, cluster, environment, namespace, workload_kind, workload_name, node, pod, container, counter, minute)
TTL minute + INTERVAL ${retention_rollup_days} DAY
SETTINGS ${table_settings}
